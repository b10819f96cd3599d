#!/usr/bin/env python3
"""Every system call of the journal, one by one: the process dies at it, or the call fails.

A short run of the journal (open, append, rotate, wrap the ring, read, close, and again) is traced
once to count its calls on each kind of file of a store. Then it is run again for each of them, with
one call injected: SIGKILL as it begins, or an I/O error or a full disk as its answer. After each:
  - the run ended by the kill, or with an exit code that says why and one line of complaint, or, where
    the call did not matter, as if nothing had been;
  - nothing panicked;
  - the store opens, and every acknowledged record is in it, whole and in order.

  tests/drills/every_syscall.py [--every N] [--seed N]

--every N tries one call in N. DRILL_SHORT=1: some sixty cases. Exit code 0 passed, 1 failed, 77
skipped (no strace). Evidence: target/drills/every_syscall.json.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from power_cut import ROOT, build_writer

SHORT = os.environ.get("DRILL_SHORT") == "1"
SHORT_CASES = 60
RUN_SECONDS_MAX = 60
WORKERS = 3
# What changes a file, or makes a change durable.
CALLS = "pwrite64,write,fdatasync,fsync,sync_file_range,ftruncate,rename,mkdir,unlink,rmdir,openat,flock"
FAULTS = {"die": "signal=SIGKILL", "EIO": "error=EIO", "ENOSPC": "error=ENOSPC"}
# Exit codes of a journal that says what is wrong: damaged, fault, cannot open, locked.
SAID = (65, 70, 73, 75)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="try one call in so many")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    if subprocess.run(["sh", "-c", "strace true"], capture_output=True, check=False).returncode:
        print("SKIPPED every_syscall: strace is missing or forbidden. Nothing was tested.")
        sys.exit(77)
    random.seed(arguments.seed)
    writer = build_writer()
    calls = count_calls(writer)
    cases = [
        (call, number, fault)
        for call, count in sorted(calls.items())
        for number in range(1, count + 1)
        for fault in FAULTS
        # A lock or a sync does not meet a full disk.
        if fault != "ENOSPC" or call in ("pwrite64", "write", "ftruncate", "mkdir", "openat", "rename")
    ]
    wanted = SHORT_CASES if SHORT else len(cases) // arguments.every
    chosen = sorted(random.sample(cases, min(wanted, len(cases))))
    counted = ", ".join(f"{count} {call}" for call, count in sorted(calls.items()))
    print(f"every_syscall: {len(chosen)} of {len(cases)} cases, seed {arguments.seed}; {counted}")
    with ThreadPoolExecutor(WORKERS) as workers:
        outcomes = list(workers.map(lambda case: try_case(writer, *case), chosen))
    report(arguments, calls, outcomes)


def trace(writer, work, *options):
    """One short run under strace; its end and the trace."""
    store, acks, log = work / "store", work / "acks", work / "trace"
    command = ["strace", "-f", "-o", str(log), "-e", f"trace={CALLS}", *options]
    command += [writer, "short", "journal", str(store), str(acks)]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=False
    )
    return ended, log.read_text()


def count_calls(writer):
    """How often the busiest thread makes each call: strace counts for each thread by itself."""
    with tempfile.TemporaryDirectory(prefix="every_syscall-") as directory:
        ended, lines = trace(writer, Path(directory))
    if ended.returncode or "DONE" not in ended.stdout:
        sys.exit(f"the run without a fault ended with {ended.returncode}: {ended.stdout}")
    by_thread = {}
    for line in lines.splitlines():
        found = re.match(r"(\d+) +(\w+)\(", line)
        if found:
            by_thread[found.groups()] = by_thread.get(found.groups(), 0) + 1
    counts = {}
    for (_, call), count in by_thread.items():
        counts[call] = max(counts.get(call, 0), count)
    return counts


def try_case(writer, call, number, fault):
    name = f"{call} {number} {fault}"
    inject = f"inject={call}:{FAULTS[fault]}:when={number}"
    with tempfile.TemporaryDirectory(prefix="every_syscall-") as directory:
        work = Path(directory)
        (work / "acks").touch()
        try:
            ended, lines = trace(writer, work, "-e", inject)
            again = subprocess.run(
                [writer, "verify", "journal", str(work / "store"), str(work / "acks")],
                capture_output=True,
                text=True,
                timeout=RUN_SECONDS_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            return {"case": name, "passed": False, "wrong": f"no end of {expired.cmd[-4:]}"}
    said = ended.stdout.strip().splitlines()
    hit = "(INJECTED)" in lines or "+++ killed by SIGKILL" in lines
    outcome = {"case": name, "hit": hit, "exit": ended.returncode, "said": said[-1:], "passed": False}
    outcome["verified"] = again.stdout.strip()
    own = [line for line in lines.splitlines() if "(INJECTED)" in line]
    outcome["injected"] = re.sub(r"\d{3,}", "n", own[0])[:160] if own else ""
    wrong = None
    if "panicked" in ended.stderr + again.stderr:
        wrong = f"a panic: {ended.stderr.strip()[:300]} {again.stderr.strip()[:300]}"
    elif again.returncode:
        wrong = f"after it: {again.stdout.strip()}"
    elif fault == "die":
        killed = ended.returncode in (-9, 137)
        wrong = None if killed or not hit else f"ended with {ended.returncode}"
    elif ended.returncode in SAID:
        wrong = None if len(said) == 1 and said[0].startswith("FAIL ") else f"said {said}"
    elif ended.returncode == 1:
        # The drill's own file of acknowledgements, or standard output.
        mine = any("acks" in line or "write(1," in line for line in own) or call == "write"
        wrong = None if mine else f"exit code 1: {said}"
    elif ended.returncode:
        wrong = f"ended with {ended.returncode}: {said} {ended.stderr.strip()[:300]}"
    outcome["passed"] = wrong is None
    if wrong:
        outcome["wrong"] = wrong
        print(f"FAILED {name}: {wrong}", flush=True)
    return outcome


def report(arguments, calls, outcomes):
    passed = sum(outcome["passed"] for outcome in outcomes)
    failed = len(outcomes) - passed
    hits = [outcome for outcome in outcomes if outcome.get("hit")]
    ends = {}
    for outcome in hits:
        ends[str(outcome["exit"])] = ends.get(str(outcome["exit"]), 0) + 1
    evidence = {
        "drill": "every_syscall",
        "seed": arguments.seed,
        "calls": calls,
        "passed": passed,
        "failed": failed,
        "injected": len(hits),
        "exit_codes": ends,
        "cases": outcomes,
    }
    directory = ROOT / "target" / "drills"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "every_syscall.json"
    path.write_text(json.dumps(evidence, indent=1) + "\n")
    print(f"{len(hits)} calls were hit; exit codes {dict(sorted(ends.items()))}")
    print(f"{passed} passed, {failed} failed (evidence in {path.relative_to(ROOT)})")
    blind = not hits
    if blind:
        print("FAILED: no call was hit, so this drill saw nothing")
    sys.exit(1 if failed or blind else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Power cuts: stop the writer at a random instant, keep what the device holds, verify it.

A file system is made in an image file and mounted through a loop device. The system under test
writes into it and acknowledges into a file outside. At a random instant it is stopped, and the
image is copied: what the copy holds is what a disk would hold whose power had been cut, because
nothing that was not flushed to the device is in it. The copy is mounted (the file system replays
its own journal) and verified: every acknowledged sequence must be there.

A second system, the control, must lose records: if it does not, the drill sees nothing.

  tests/drills/power_cut.py [CUTS] [--fs ext4|xfs] [--seed N]
  tests/drills/power_cut.py [CUTS] --switch        the whole switch instead of its journal
  tests/drills/power_cut.py 50 --name other --write 'CMD {store} {acks}' --verify 'CMD {store} {acks}'

DRILL_SHORT=1: 3 cuts of the journal, then 3 of the whole switch. Needs root. Exit code 0 passed, 1 failed, 77 skipped. Evidence: target/drills/power_cut-*.json.
Limits: it models a device that honours flushes and keeps the order of what it was given.
"""

import argparse
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMAGE_BYTES = 2 << 30
FIRST_ACK_SECONDS_MAX = 30
VERIFY_SECONDS_MAX = 120
UNMOUNT_SECONDS_MAX = 20
CONTROL_CUTS_MIN = 5
SHORT = os.environ.get("DRILL_SHORT") == "1"


def main():
    arguments = parse()
    reason = reason_to_skip(arguments.fs)
    if reason:
        print(f"SKIPPED power_cut on {arguments.fs}: {reason}. Nothing was tested.")
        sys.exit(77)
    if SHORT and arguments.write is None and not arguments.switch:
        # The journal with its control here, then the whole switch; both must pass.
        again = [sys.executable, __file__, str(arguments.cuts), "--switch", "--no-control"]
        whole = subprocess.run([*again, "--fs", arguments.fs, "--seed", str(arguments.seed)], check=False).returncode
        if whole:
            sys.exit(whole)
    write, verify = arguments.write, arguments.verify
    if arguments.switch:
        arguments.name = "switch"
        driver = f"{sys.executable} {ROOT / 'tests/drills/switch_driver.py'}"
        write = f"{driver} write {{store}} {{acks}}"
        verify = f"{driver} verify {{store}} {{acks}}"
    if write is None:
        writer = build_writer()
        write = f"{writer} write journal {{store}} {{acks}}"
        verify = f"{writer} verify journal {{store}} {{acks}}"
    else:
        writer = build_writer() if arguments.control else None
    random.seed(arguments.seed)
    print(f"power_cut: {arguments.cuts} cuts on {arguments.fs}, seed {arguments.seed}")
    cuts = run(arguments.name, write, verify, arguments.fs, arguments.cuts)
    control = []
    if arguments.control:
        count = max(CONTROL_CUTS_MIN, arguments.cuts)
        control = run(
            "control",
            f"{writer} write sled-flush {{store}} {{acks}}",
            f"{writer} verify sled-flush {{store}} {{acks}}",
            arguments.fs,
            count,
        )
    report(arguments, cuts, control)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cuts", type=int, nargs="?", default=3 if SHORT else 20)
    parser.add_argument("--fs", choices=["ext4", "xfs"], default="ext4")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--switch", action="store_true", help="cut the whole switch")
    parser.add_argument("--name", default="journal", help="of the system under test")
    parser.add_argument("--write", help="command that writes for ever, with {store} and {acks}")
    parser.add_argument("--verify", help="command that exits 0 when nothing acknowledged is lost")
    parser.add_argument("--no-control", dest="control", action="store_false")
    arguments = parser.parse_args()
    if (arguments.write is None) != (arguments.verify is None):
        parser.error("--write and --verify belong together")
    return arguments


def reason_to_skip(fs):
    if os.geteuid() != 0:
        return "mounting needs root"
    for tool in [f"mkfs.{fs}", "mount", "umount", "losetup"]:
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    if not list(Path("/dev").glob("loop*")):
        return "there are no loop devices"
    return None


def build_writer():
    command = ["cargo", "test", "--no-run", "--test", "journal_writer", "--message-format=json"]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    for line in output.stdout.splitlines():
        message = json.loads(line)
        target = message.get("target", {}).get("name")
        if target == "journal_writer" and message.get("executable"):
            return message["executable"]
    sys.exit("cargo built no journal_writer")


def run(name, write, verify, fs, count):
    outcomes = []
    for number in range(1, count + 1):
        with tempfile.TemporaryDirectory(prefix="power_cut-") as directory:
            outcome = cut(Path(directory), write, verify, fs)
        outcomes.append(outcome)
        word = "ok  " if outcome["passed"] else "LOST"
        print(f"{name} {number:3} {word} {outcome['phase']:11} {outcome['said']}", flush=True)
    return outcomes


def cut(directory, write, verify, fs):
    """One cut: write, stop, copy the image, mount the copy, verify."""
    image, copy = directory / "image", directory / "copy"
    mounted, acks = directory / "mounted", directory / "acks"
    mounted.mkdir()
    with open(image, "wb") as file:
        file.truncate(IMAGE_BYTES)
    subprocess.run([f"mkfs.{fs}", "-q", image], check=True)
    phase = random.choice(["fresh", "established"])
    seconds = random.uniform(0.05, 3)
    mount(image, mounted)
    try:
        writer = start(write, mounted / "store", acks)
        try:
            wait_for_ack(writer, acks)
            if phase == "established":
                time.sleep(1)
                subprocess.run(["sync", "-f", mounted], check=True)
            time.sleep(seconds)
            died = writer.poll() is not None
            os.killpg(writer.pid, signal.SIGSTOP)
            shutil.copy(acks, directory / "acks-at-cut")
            subprocess.run(["cp", "--sparse=always", image, copy], check=True)
        finally:
            os.killpg(writer.pid, signal.SIGKILL)
            writer.wait()
    finally:
        unmount(mounted)
    image.unlink()
    mount(copy, mounted)
    try:
        passed, said = ask(verify, mounted / "store", directory / "acks-at-cut")
    finally:
        unmount(mounted)
    if died:
        passed, said = False, f"the writer ended by itself; {said}"
    return {"passed": passed, "phase": phase, "seconds": round(seconds, 3), "said": said}


def mount(image, directory):
    subprocess.run(["mount", "-o", "loop", image, directory], check=True)


def unmount(directory):
    """Unmounts; a killed process of the group may hold a file for a moment longer."""
    deadline = time.monotonic() + UNMOUNT_SECONDS_MAX
    command = ["umount", str(directory)]
    while subprocess.run(command, capture_output=True, check=False).returncode != 0:
        if time.monotonic() > deadline:
            subprocess.run(command, check=True)
            return
        time.sleep(0.05)


def start(command, store, acks):
    parts = [part.format(store=store, acks=acks) for part in shlex.split(command)]
    return subprocess.Popen(parts, cwd=ROOT, start_new_session=True)


def wait_for_ack(writer, acks):
    deadline = time.monotonic() + FIRST_ACK_SECONDS_MAX
    while not (acks.exists() and acks.stat().st_size > 0):
        if writer.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the system under test acknowledged nothing")
        time.sleep(0.01)


def ask(command, store, acks):
    parts = [part.format(store=store, acks=acks) for part in shlex.split(command)]
    try:
        answer = subprocess.run(
            parts,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=VERIFY_SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, f"no verdict within {VERIFY_SECONDS_MAX} s"
    lines = (answer.stdout + answer.stderr).strip().splitlines()
    said = next((line for line in lines if line.strip()), "").strip()
    return answer.returncode == 0, said or f"exit code {answer.returncode}"


def report(arguments, cuts, control):
    passed = sum(cut["passed"] for cut in cuts)
    failed = len(cuts) - passed
    lost = sum(not cut["passed"] for cut in control)
    text = lambda *command: subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False
    ).stdout.strip()
    evidence = {
        "drill": "power_cut",
        "system": arguments.name,
        "file_system": arguments.fs,
        "seed": arguments.seed,
        "commit": text("git", "rev-parse", "HEAD"),
        "kernel": text("uname", "-sr"),
        "passed": passed,
        "failed": failed,
        "control_cuts": len(control),
        "control_lost": lost,
        "cuts": cuts,
        "control": control,
    }
    directory = ROOT / "target" / "drills"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"power_cut-{arguments.fs}-{arguments.name}.json"
    path.write_text(json.dumps(evidence, indent=1) + "\n")
    if arguments.control:
        print(f"control: plain sled flush lost records in {lost} of {len(control)} cuts")
    print(f"{passed} passed, {failed} failed (evidence in {path.relative_to(ROOT)})")
    blind = arguments.control and lost == 0
    if blind:
        print("FAILED: the control lost nothing, so this drill saw nothing")
    sys.exit(1 if failed or blind else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Readers that stand still, a reader that follows, and an export, beside the corridor: it hardly notices.

Loads one switch at a fixed rate in turns, alone and with company: live readers of the stream of which
most never take a byte, one that does, and an export of all that happened until then, over and over.
The 99th percentile of the answers with company may be at most a fifth above that without (median of
the turns).

  tests/drills/readers.py [--binary PATH] [--turns N] [--rate N] [--records N]

Exit code 0 passed, 1 failed. In short form the ratio is told, and only what went wrong fails: a busy
machine says nothing about percentiles. Evidence: target/drills/readers.json.
"""

import argparse
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from running import ROOT, Switch, binary_of, is_short, write_evidence
from wire import Wrong, check

STALLED = 16
RATIO_MAX = 1.2


def load(binary, switch, *arguments):
    command = [binary, "acquirer", "load", "--connect", f"127.0.0.1:{switch.port}", "--json"]
    command += ["--spec", "iso87-ascii", *arguments]
    done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True)
    check(done.returncode == 0, f"load: {done.stderr[-500:]}")
    return json.loads(done.stdout)


def live_reader(switch):
    stream = socket.socket()
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    stream.connect(("127.0.0.1", switch.admin_port))
    token = switch.admin().token
    stream.sendall(b"GET /v1/activity/live HTTP/1.1\r\nHost: localhost\r\n"
                   + f"Authorization: Bearer {token}\r\n\r\n".encode())
    return stream


@contextlib.contextmanager
def company(binary, switch, store, work, counts):
    """Readers and an export, until the block ends."""
    over = threading.Event()
    stalled = [live_reader(switch) for _ in range(STALLED)]
    following = live_reader(switch)
    following.settimeout(0.5)

    def follow():
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                counts["bytes_followed"] += len(following.recv(65_536))

    def export():
        while not over.is_set():
            command = [binary, "export", "--format", "parquet", "--data", store]
            command += ["--to", Path(work) / "out", "--admin"]
            command += [f"http://127.0.0.1:{switch.admin_port}"]
            process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, text=True)
            while process.poll() is None and not over.wait(0.1):
                pass
            if process.poll() is None:
                process.kill()
                counts["exports_cut_off"] += 1
            elif process.returncode == 0:
                counts["exports_whole"] += 1
            else:
                counts["faults"].append(process.stderr.read())
            process.wait()

    threads = [threading.Thread(target=it) for it in (follow, export)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
        for stream in [*stalled, following]:
            stream.close()


def p99(report):
    return report["latency_us"]["p99"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary")
    parser.add_argument("--turns", type=int, default=2 if is_short() else 7)
    parser.add_argument("--rate", type=int, default=2_000)
    parser.add_argument("--records", type=int, default=20_000 if is_short() else 1_000_000)
    arguments = parser.parse_args()
    binary = binary_of(arguments.binary)
    counts = {"exports_whole": 0, "exports_cut_off": 0, "bytes_followed": 0, "faults": []}
    alone, beside = [], []
    with tempfile.TemporaryDirectory() as work:
        store = Path(work) / "store"
        switch = Switch(binary, store, work, arguments=["--demo"]).wait_ready()
        while switch.get("/healthz")["counters"]["records"] < arguments.records:
            load(binary, switch, "--connections", "4", "--window", "32", "--duration", "5s")
        measure = ["--rate", arguments.rate, "--connections", "4"]
        measure += ["--duration", "3s" if is_short() else "8s"]
        for _ in range(arguments.turns):
            alone.append(p99(load(binary, switch, *measure)))
            with company(binary, switch, store, work, counts):
                beside.append(p99(load(binary, switch, *measure)))
        switch.stop()
    check(not counts["faults"], f"export: {counts['faults']}")
    check(counts["bytes_followed"] > 0, "the reader that follows heard nothing")
    ratio = statistics.median(beside) / statistics.median(alone)
    evidence = {"alone": alone, "beside": beside, "ratio": round(ratio, 2), **counts}
    print(f"p99 alone {alone}, with company {beside}: ratio {ratio:.2f}; {counts}")
    print(write_evidence("readers", binary, evidence))
    if not is_short():
        check(ratio < RATIO_MAX, f"ratio {ratio:.2f}, at most {RATIO_MAX}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Wrong as wrong:
        print(f"FAILED: {wrong}")
        sys.exit(1)

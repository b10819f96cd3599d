#!/usr/bin/env python3
"""Readers that stand still, one that follows, a dead webhook and an export: the corridor hardly notices.

Loads two switches at a fixed rate in turns, one alone and one with company: live readers of the stream
of which most never take a byte, one that does, a webhook for everything whose other end takes what it is
told and never answers, and an export of all that happened until then, over and over. The 99th percentile
of the answers with company may be at most a fifth above that without (medians of the turns).

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
PERCENTILES = ("p50", "p90", "p99")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


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


class DeadEnd:
    """Takes connections and what comes over them, and says nothing."""

    def __init__(self):
        self.told = 0
        self.door = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self):
        while True:
            connection, _ = self.door.accept()
            threading.Thread(target=self._swallow, args=(connection,), daemon=True).start()

    def _swallow(self, connection):
        self.told += 1
        with contextlib.suppress(OSError):
            while connection.recv(65_536):
                pass

    def settings(self, work):
        """A webhook that ends here."""
        secret = Path(work) / "secret"
        secret.write_text(SECRET)
        secret.chmod(0o600)
        hook = {"name": "dead", "url": f"http://127.0.0.1:{self.door.getsockname()[1]}/"}
        hook |= {"tells": "activity", "secret_file": str(secret)}
        return {"webhook": [hook | {"timeout_ms": 1_000, "retry_ms": 100}]}


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


def filled(binary, work, records, settings):
    """A switch that has decided so much, and its store."""
    Path(work).mkdir()
    store = Path(work) / "store"
    switch = Switch(binary, store, work, settings=settings, arguments=["--demo"]).wait_ready()
    while switch.get("/healthz")["counters"]["records"] < records:
        load(binary, switch, "--connections", "4", "--window", "32", "--duration", "5s")
    return switch, store


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary")
    parser.add_argument("--turns", type=int, default=2 if is_short() else 15)
    parser.add_argument("--rate", type=int, default=2_000)
    parser.add_argument("--records", type=int, default=20_000 if is_short() else 1_000_000)
    arguments = parser.parse_args()
    binary = binary_of(arguments.binary)
    counts = {"exports_whole": 0, "exports_cut_off": 0, "bytes_followed": 0, "faults": []}
    dead = DeadEnd()
    turns = {"alone": [], "beside": []}
    with tempfile.TemporaryDirectory() as work:
        quiet, _ = filled(binary, Path(work) / "quiet", arguments.records, {})
        beset, store = filled(binary, Path(work) / "beset", arguments.records, dead.settings(work))
        measure = ["--rate", arguments.rate, "--connections", "4", "--duration", "3s"]
        for _ in range(arguments.turns):
            turns["alone"].append(load(binary, quiet, *measure)["latency_us"])
            with company(binary, beset, store, work, counts):
                turns["beside"].append(load(binary, beset, *measure)["latency_us"])
        for switch in (quiet, beset):
            switch.stop()
    check(not counts["faults"], f"export: {counts['faults']}")
    check(counts["bytes_followed"] > 0, "the reader that follows heard nothing")
    check(dead.told > 0, "nobody was told at the dead end")
    evidence = {**counts, "told_in_vain": dead.told}
    for percentile in PERCENTILES:
        taken = {whose: [it[percentile] for it in those] for whose, those in turns.items()}
        alone, beside = (statistics.median(those) for those in taken.values())
        evidence[percentile] = {**taken, "ratio": round(beside / alone, 2)}
        print(f"{percentile} alone {alone:.0f} us, with company {beside:.0f}: {beside / alone:.2f}")
    print(f"p99 {evidence['p99']}; {counts}, told in vain {dead.told}")
    print(write_evidence("readers", binary, evidence))
    if not is_short():
        ratio = evidence["p99"]["ratio"]
        check(ratio < RATIO_MAX, f"ratio {ratio:.2f}, at most {RATIO_MAX}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Wrong as wrong:
        print(f"FAILED: {wrong}")
        sys.exit(1)

#!/usr/bin/env python3
"""10,000 peers that are connected and silent: another client is served as if they were not there.

Two processes: the switch, and this one with the silent peers, each of which has echoed once. The
latency of a client's requests is measured before they come and while they stay; the switch's
memory is read before and after. Then one in ten of them speaks again and is answered.

  tests/drills/idle_connections.py [BINARY]

DRILL_SHORT=1 takes 1,000 peers. Needs Linux. Exit code 0 passed, 1 failed, 77 skipped.
"""

import os
import re
import resource
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = 1_000 if os.environ.get("DRILL_SHORT") == "1" else 10_000
DECISIONS = 150
CONNECTIONS_AT_ONCE = 500
# Descriptors beside those of the peers.
FILES_SPARE = 300
READY_SECONDS_MAX = 30
ANSWER_SECONDS_MAX = 30
# A session and its read buffer, with room for what the allocator keeps.
KIB_PER_PEER_MAX = 16
# A machine that is busy otherwise may be slower by chance: a stall is far beyond this.
MEDIAN_FACTOR_MAX = 3
MEDIAN_MS_FLOOR = 5


def main():
    binary = next((Path(path) for path in
                   [*sys.argv[1:], ROOT / "target/release/cardswitch", ROOT / "target/debug/cardswitch"]
                   if Path(path).exists()), None)
    if not binary:
        print("SKIPPED: build the switch first, or name its binary")
        return 77
    needed = PEERS + FILES_SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        print(f"SKIPPED: {needed} open files are needed, the system allows {hard}")
        return 77
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    with tempfile.TemporaryDirectory(prefix="cardswitch-") as directory:
        switch, address = start(binary, directory)
        try:
            return drill(switch, address)
        finally:
            switch.send_signal(signal.SIGTERM)
            began = time.monotonic()
            code = switch.wait(timeout=READY_SECONDS_MAX)
            print(f"stopped with exit code {code} after {time.monotonic() - began:.2f} s")


def drill(switch, address):
    failures = []

    def check(what, good):
        print(f"{'pass' if good else 'FAIL'}  {what}")
        if not good:
            failures.append(what)

    client = connect(address)
    alone = decisions(client, first_stan=1)
    rss_before = rss_kib(switch.pid)
    began = time.monotonic()
    peers = open_peers(address)
    opened = time.monotonic() - began
    rss_with = rss_kib(switch.pid)
    crowded = decisions(client, first_stan=1_001)
    fresh = connect(address)
    newcomer = decisions(fresh, first_stan=2_001)[:1]
    print(f"      {PEERS} peers echoed once each in {opened:.1f} s")
    per_peer = (rss_with - rss_before) / PEERS
    print(f"      memory {rss_before / 1024:.1f} MiB, then {rss_with / 1024:.1f} MiB: "
          f"{per_peer:.1f} KiB per silent peer")
    print(f"      decision alone: median {median(alone)} ms, slowest {max(alone):.2f} ms")
    print(f"      decision among them: median {median(crowded)} ms, slowest {max(crowded):.2f} ms")
    limit = max(MEDIAN_MS_FLOOR, MEDIAN_FACTOR_MAX * statistics.median(alone))
    check("a client is served among them as it was alone", statistics.median(crowded) <= limit)
    check("a newcomer is served", bool(newcomer))
    check(f"a silent peer costs at most {KIB_PER_PEER_MAX} KiB", per_peer <= KIB_PER_PEER_MAX)
    open_now = sum(is_open(peer) for peer in peers)
    check(f"all {PEERS} are still connected", open_now == PEERS)
    speakers = peers[::10]
    for stan, peer in enumerate(speakers, start=1):
        peer.sendall(echo(stan))
    check(f"{len(speakers)} of them speak again and are answered",
          all(code(receive(peer)) == b"00" for peer in speakers))
    print(f"{len(failures)} failures")
    return 1 if failures else 0


def start(binary, directory):
    output = Path(directory) / "stdout"
    with output.open("wb") as out:
        switch = subprocess.Popen(
            [str(binary), "serve", "--demo", "--data", f"{directory}/store",
             "--listen", "127.0.0.1:0,be2,iso87-ascii", "--admin", "127.0.0.1:0"],
            stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline and switch.poll() is None:
        text = output.read_text(encoding="utf-8")
        if re.search(r"^next ", text, re.MULTILINE):
            host, port = re.search(r"^listening +(\S+):(\d+)", text, re.MULTILINE).groups()
            return switch, (host, int(port))
        time.sleep(0.02)
    switch.kill()
    raise SystemExit(f"the switch did not start:\n{output.read_text(encoding='utf-8')}")


def connect(address):
    link = socket.create_connection(address, timeout=ANSWER_SECONDS_MAX)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def open_peers(address):
    """Peers in groups, so that the queue of the listener is never the limit."""
    peers = []
    while len(peers) < PEERS:
        group = [connect(address) for _ in range(min(CONNECTIONS_AT_ONCE, PEERS - len(peers)))]
        for stan, peer in enumerate(group, start=1):
            peer.sendall(echo(stan))
        for peer in group:
            assert code(receive(peer)) == b"00", "a peer's echo was refused"
        peers += group
    return peers


def is_open(peer):
    readable = select.poll()
    readable.register(peer, select.POLLIN | select.POLLHUP)
    return not readable.poll(0)


def decisions(link, first_stan):
    """Latencies of decisions, one after the other, in milliseconds."""
    taken = []
    for stan in range(first_stan, first_stan + DECISIONS):
        began = time.perf_counter()
        link.sendall(verification(stan))
        answer = receive(link)
        taken.append((time.perf_counter() - began) * 1_000)
        assert code(answer) == b"00", f"request {stan} was refused with {code(answer)}"
    return taken


def framed(mti, elements):
    """ASCII message of elements 2 to 64 and 70, each given as it stands on the wire."""
    bits = 0
    for element in elements:
        bits |= 1 << (128 - element)
    if any(element > 64 for element in elements):
        bitmap = f"{bits | 1 << 127:032X}"
    else:
        bitmap = f"{bits >> 64:016X}"
    body = (mti + bitmap + "".join(elements[element] for element in sorted(elements))).encode()
    return struct.pack(">H", len(body)) + body


def echo(stan):
    return framed("0800", {7: "1121103000", 11: f"{stan:06}", 70: "301"})


def verification(stan):
    """A durable decision that uses nothing up: is this card good?"""
    return framed("0100", {
        2: "164761739001010119", 3: "000000", 4: "000000000000", 7: "1121103000", 11: f"{stan:06}",
        14: "3112", 18: "5411", 32: "06400001", 37: f"{stan:012}", 41: "TERM0001",
        42: "MARUYAMA-STORE1", 49: "392"})


def receive(link):
    (size,) = struct.unpack(">H", receive_exactly(link, 2))
    return receive_exactly(link, size)


def receive_exactly(link, size):
    data = b""
    while len(data) < size:
        piece = link.recv(size - len(data))
        if not piece:
            raise ConnectionError("the switch closed the connection")
        data += piece
    return data


def code(answer):
    """DE 39: two characters before DE 41, or before DE 70 on an 0810."""
    if answer[:4] == b"0810":
        return answer[-5:-3]
    return re.search(rb"(..)TERM0001", answer).group(1)


def rss_kib(pid):
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))


def median(values):
    return f"{statistics.median(values):.2f}"


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Ends the switch in an orderly way, and holds what it says against its journal.

  sigterm under load   every decision in the journal was answered; exit code 0
  sigterm, slow peers  the same for peers that send on and on and read their answers late
  signals at once      SIGTERM, SIGHUP before it, in the moment in which a door is open: exit code 0

  tests/drills/sigterm.py [--binary PATH] [--seed N] [--only CASE]

Exit code 0 passed, 1 failed. Evidence: target/drills/sigterm.json.
"""

import signal
import threading
import time

import oracle
from cases import run_cases
from oracle import Acquirer, Switch, check

SLOW_REQUESTS = 4_000
BLOCKED_SECONDS_MAX = 30


def sigterm_under_load(case):
    case.import_cards()
    for number in range(3 if oracle.is_short() else 10):
        switch = case.start()
        load = case.load(switch, number)
        time.sleep(case.random.uniform(0.05, 0.6))
        switch.stop()
        load.join()
        last = switch.said[-1]
        check(last.startswith("stopped: everything answered"), f"its last line: {last!r}")
    return case.audit(all_answered=True)


def sigterm_with_slow_peers(case):
    case.import_cards()
    for number in range(3 if oracle.is_short() else 10):
        switch = case.start()
        # More than the switch takes at once: when it stops, unread requests are left behind.
        peers = [SlowPeer(case, switch, f"{number}/{n}") for n in range(3)]
        until_blocked(switch)
        switch.signal(signal.SIGTERM)
        time.sleep(0.2)
        for peer in peers:
            peer.read_to_end()
        code = switch.wait()
        check(code == 0, f"exit code {code} after SIGTERM: {switch.complaint()}")
    return case.audit(all_answered=True)


def until_blocked(switch):
    """Until the switch can write no more and therefore reads no more."""
    before, received = 0, 0
    deadline = time.monotonic() + BLOCKED_SECONDS_MAX
    while received == 0 or received != before:
        check(time.monotonic() < deadline, "the switch went on reading from peers that do not")
        time.sleep(0.1)
        before, received = received, switch.get("/healthz")["counters"]["frames_received"]


class SlowPeer:
    """Sends without reading; its receive buffer is small, so answers wait in the switch's."""

    def __init__(self, case, switch, name):
        self.acquirer = Acquirer(case.book, case.cards, f"{case.seed}/{name}", 7)
        self.stream = switch.connect(receive_bytes=2_304)
        self.wires = b"".join(self.acquirer.compose()[0] for _ in range(SLOW_REQUESTS))
        self.sender = threading.Thread(target=self._send)
        self.sender.start()

    def _send(self):
        try:
            self.stream.sendall(self.wires)
        except OSError:
            pass  # the switch stopped reading

    def read_to_end(self):
        buffer = bytearray()
        try:
            while True:
                self.acquirer.read_some(self.stream, buffer)
        except ConnectionResetError:
            pass
        self.sender.join()
        self.stream.close()
        check(not buffer, f"the last answer was cut: {len(buffer)} bytes of it came")


def signals_at_once(case):
    """The first client may come as soon as a door is open, and so may a signal."""
    rounds = 10 if oracle.is_short() else 50
    for number in range(rounds):
        case.running = switch = Switch(
            case.binary, case.store, case.work, settings=case.settings, arguments=["--demo"]
        )
        while switch.port is None and switch.process.poll() is None:
            time.sleep(0.0005)
        if number % 2:
            switch.signal(signal.SIGHUP)
        switch.signal(signal.SIGTERM)
        code = switch.wait()
        check(code == 0, f"exit code {code} after a signal in the first moment of round {number}")
    return {"rounds": rounds}


CASES = [sigterm_under_load, sigterm_with_slow_peers, signals_at_once]


if __name__ == "__main__":
    run_cases("sigterm", CASES, __doc__)

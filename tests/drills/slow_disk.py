#!/usr/bin/env python3
"""A disk that gets slow, and a process that stands still: what came too late is not posted.

Clients wait a second for an answer, as a network does. One that has waited in vain leaves the
connection, repeats its request on a new one or reverses it, and insists on the reversal until that
is answered. Meanwhile:

  slow disk        every write and flush takes more than a second for a while (strace)
  frozen           the process is stopped for some seconds (SIGSTOP), under a load
  frozen and slow  both: what waited in the switch's own queue stands still with it

After each:
  - what waited longer than `wait_ms_max` for the writer was answered 91 and is not in the journal;
  - nothing was approved later than its wait, its own write and the pause together explain;
  - of what a client gave up and reversed nothing is held or posted any more;
  - every answer is in the journal once, and every purse is what a second model makes of it;
  - a second after the fault is over, clients are served as before.

  tests/drills/slow_disk.py [--binary PATH] [--seed N] [--only CASE]

Needs strace for two of the three. Exit code 0 passed, 1 failed, 77 skipped. Evidence:
target/drills/slow_disk.json. Bytes that lie in the kernel's buffers while the process stands still
carry no time: they are decided when they are read, and their clients reverse them.
"""

import contextlib
import shutil
import signal
import subprocess
import threading
import time

import oracle
from cases import Case, Skipped, run_cases
from oracle import Acquirer, Oracle, check, replay
from wire import cut_frames, read_message

NOT_NOW = "91"
WAIT_MS_MAX = 300
PATIENCE_SECONDS = 1.0
REVERSAL_PATIENCE_SECONDS = 4.0
INSISTING_SECONDS_MAX = 60
DELAY_SECONDS = 1.2
FAULT_SECONDS = 3 if oracle.is_short() else 8
CLIENTS = 16
TURNED_AWAY_SECONDS_MAX = 30
# What a busy machine adds to any time, and how soon clients are served again.
NOISE_SECONDS = 1.5
RECOVERED_SECONDS_MAX = 2.0


class Impatient(Acquirer):
    """One client with one message at a time; what it waited for in vain it repeats or reverses."""

    def __init__(self, case, switch, number):
        super().__init__(case.book, case.cards, case.seed, number)
        self.switch, self.stream, self.buffer = switch, None, bytearray()
        self.took = []  # (seconds, when answered, code) of what was answered in time
        self.reversed = []
        self.repeated = 0

    def live(self, until):
        try:
            while not until.is_set():
                wire, (identity,) = self.purchase(self.random.randrange(len(self.cards)), 1)
                if self.ask(wire, identity, PATIENCE_SECONDS) is None:
                    self.give_up(self.book.requests[identity])
        finally:
            self.leave()

    def give_up(self, request):
        if self.random.random() < 0.5:
            self.repeated += 1
            code = self.ask(self.repeat_of(request), request.identity, PATIENCE_SECONDS)
            if code not in (None, NOT_NOW):
                return  # It is known now what became of it.
        self.reversed.append(request)
        wire, (identity,) = self._send(self._later("0420", "reversal", request, request.minor))
        deadline = time.monotonic() + INSISTING_SECONDS_MAX
        while self.ask(wire, identity, REVERSAL_PATIENCE_SECONDS) is None:
            check(time.monotonic() < deadline, f"the reversal {identity} was never answered")
            wire = self.repeat_of(self.book.requests[identity])

    def ask(self, wire, identity, patience):
        """The code of the answer; `None`, and the connection is left, when none came in time."""
        began = time.monotonic()
        try:
            self.stream = self.stream or self.switch.connect()
            self.stream.sendall(wire)
            while True:
                self.stream.settimeout(max(0.001, began + patience - time.monotonic()))
                piece = self.stream.recv(65_536)
                if not piece:
                    break
                self.buffer += piece
                for frame in cut_frames(self.buffer):
                    mti, elements = read_message(frame)
                    self.book.answered(mti, elements)
                    if (mti[1], elements[7], elements[11]) == identity:
                        now = time.monotonic()
                        self.took.append((now - began, now, elements[39]))
                        return elements[39]
        except OSError:
            pass  # It waited in vain.
        self.leave()
        return None

    def leave(self):
        if self.stream:
            self.stream.close()
        self.stream, self.buffer = None, bytearray()


class Crowd:
    """Impatient clients, each in a thread of its own."""

    def __init__(self, case, switch):
        self.until, self.wrong = threading.Event(), []
        self.clients = [Impatient(case, switch, number) for number in range(CLIENTS)]
        self.threads = [threading.Thread(target=self.live, args=(c,)) for c in self.clients]
        for thread in self.threads:
            thread.start()

    def live(self, client):
        try:
            client.live(self.until)
        except Exception as wrong:  # Told by the thread that waits for this one.
            self.wrong.append(f"{type(wrong).__name__}: {wrong}")

    def finish(self):
        self.until.set()
        for thread in self.threads:
            thread.join()
        check(not self.wrong, "; ".join(self.wrong[:3]))

    def answers(self):
        return [answer for client in self.clients for answer in client.took]

    def approved_after(self, moment):
        return [when for _, when, code in self.answers() if code == "00" and when > moment]


@contextlib.contextmanager
def slow(switch):
    """Every write and flush of the switch waits before it begins."""
    if shutil.which("strace") is None:
        raise Skipped("strace is not installed")
    delay = f"inject=pwrite64,fdatasync:delay_enter={int(DELAY_SECONDS * 1e6)}"
    command = ["strace", "-f", "-p", str(switch.process.pid), "-o", "/dev/null"]
    tracer = subprocess.Popen(
        [*command, "-e", "trace=pwrite64,fdatasync", "-e", delay],
        stderr=subprocess.PIPE,
        text=True,
    )
    said = tracer.stderr.readline()
    if "attached" not in said:
        tracer.kill()
        raise Skipped(f"strace may not attach: {said.strip()}")
    try:
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()


def turned_away(switch):
    return switch.get("/healthz")["counters"]["requests_turned_away"]


def until_turned_away(switch):
    deadline = time.monotonic() + TURNED_AWAY_SECONDS_MAX
    while not turned_away(switch):
        check(time.monotonic() < deadline, "nothing waited too long in the queue of a slow switch")
        time.sleep(0.05)


def freeze(switch):
    switch.signal(signal.SIGSTOP)
    time.sleep(FAULT_SECONDS)
    switch.signal(signal.SIGCONT)


def slow_disk(case):
    def fault(switch):
        with slow(switch):
            time.sleep(FAULT_SECONDS)
            until_turned_away(switch)

    return with_fault(case, DELAY_SECONDS * 2, fault)


def frozen_process(case):
    # Its queue is empty most of the time, and so is what it turns away.
    return with_fault(case, FAULT_SECONDS, freeze, busy=True)


def frozen_and_slow(case):
    def fault(switch):
        with slow(switch):
            until_turned_away(switch)
            freeze(switch)

    return with_fault(case, FAULT_SECONDS + DELAY_SECONDS * 2, fault)


def with_fault(case, explained_seconds, fault, busy=False):
    """Clients before, during and after a fault, and the books in the end."""
    case.settings = {"sequencer": {"wait_ms_max": WAIT_MS_MAX}}
    case.cards = [(pan, (900_000, 0)) for pan, _ in oracle.test_cards(Case.CARDS)]
    case.import_cards()
    case.book.not_now = {NOT_NOW}
    switch = case.start()
    load = case.load(switch) if busy else None
    crowd = Crowd(case, switch)
    time.sleep(1)
    check(crowd.answers(), "nobody was served before the fault")
    counted = turned_away(switch)
    check(counted == 0, f"{counted} questions were turned away before the fault")
    try:
        fault(switch)
        over = time.monotonic()
        time.sleep(RECOVERED_SECONDS_MAX)
    finally:
        crowd.finish()
    if load:
        load.finish()
    soonest = min(crowd.approved_after(over), default=None)
    check(soonest, f"nobody was served within {RECOVERED_SECONDS_MAX} s after the fault")
    counted = turned_away(switch)
    shown = switch.purses(Case.CARDS)
    switch.stop()
    figures = check_books(case, crowd, shown)
    late = max(seconds for seconds, _, code in crowd.answers() if code == "00")
    explained = WAIT_MS_MAX / 1_000 + explained_seconds + NOISE_SECONDS
    check(late <= explained, f"an approval after {late:.1f} s, expected {explained:.1f} at most")
    gave_up = figures["repeated"] + figures["reversed"]
    check(gave_up, "nobody waited in vain: the fault was none")
    return {
        "turned_away": counted,
        "latest_approval_s": round(late, 2),
        "served_again_s": round(soonest - over, 3),
        **figures,
    }


def check_books(case, crowd, shown):
    rows, _ = replay(case.binary, case.store)
    model = Oracle(case.cards)
    model.feed(rows, case.book)
    model.check_book(case.book)
    model.check_accounts(shown)
    given_up = [request for client in crowd.clients for request in client.reversed]
    for request in given_up:
        _, held, posted = model.entries.get(request.identity, (None, *empty()))
        left = held.total() + posted.total()
        check(left == 0, f"{request.identity} was reversed, and {left} of it is still there")
    # Answered 91 and left at that: it must not be there.
    reversed_ones = {request.identity for request in given_up}
    open_ones = [r for r in case.book.unanswered() if r.identity not in reversed_ones]
    posted = [r.identity for r in open_ones if r.identity in model.decided]
    check(not posted, f"{len(posted)} that were turned away are in the journal: {posted[:3]}")
    return {
        "answers": case.book.answers,
        "told_not_now": case.book.turned_away,
        "repeated": sum(client.repeated for client in crowd.clients),
        "reversed": len(given_up),
        "reversed_and_decided": sum(r.identity in model.entries for r in given_up),
    }


def empty():
    return oracle.Parts(), oracle.Parts()


if __name__ == "__main__":
    run_cases("slow_disk", [slow_disk, frozen_process, frozen_and_slow], __doc__)

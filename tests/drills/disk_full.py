#!/usr/bin/env python3
"""A full disk: first questions are turned away, then the switch stops, then nothing is missing.

On a small file system (ext4 in a file, and a tmpfs) under load, with a ballast that leaves what
each step needs:
  1. less is free than `keep_free_mib`: questions get 96 and are counted; advices, reversals and
     repeats of what was answered are taken as ever;
  2. room again: questions are decided again, without a restart, also those that were turned away;
  3. the disk fills to the last byte under advices: the switch stops with exit code 70 and one
     sentence; while the disk stays full it starts and takes what it can, or is refused likewise;
  4. room again: it starts, every repeat gets the answer of the first time, and the books are those
     of the answers: nothing lost, nothing doubled.

  tests/drills/disk_full.py [--binary PATH] [--seed N] [--only CASE]

Needs root, for the mount. Exit code 0 passed, 1 failed, 77 skipped. Evidence:
target/drills/disk_full.json.
"""

import os
import shutil
import subprocess
import time

import oracle
from cases import Skipped, clear, run_cases
from oracle import Acquirer, check

DISK_BYTES = 192 << 20
KEEP_MIB = 24
SPACE_SEEN_SECONDS_MAX = 5
FULL_SECONDS_MAX = 120
NOT_NOW = "96"


class Teller(Acquirer):
    """Only tells: advices, which are taken as long as there is room for them."""

    def compose(self):
        return self.advice(self.random.randrange(len(self.cards)), self.random.randrange(1, 99))


class Disk:
    """A small file system with a ballast in it."""

    def __init__(self, case, kind):
        self.path, self.kind = case.work / "disk", kind
        self.path.mkdir()
        if kind == "tmpfs":
            command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs"]
        else:
            if shutil.which("mkfs.ext4") is None:
                raise Skipped("mkfs.ext4 is not installed")
            image = case.work / "image"
            with open(image, "wb") as file:
                file.truncate(DISK_BYTES)
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
            command = ["mount", "-o", "loop", str(image)]
        mounted = subprocess.run([*command, str(self.path)], capture_output=True, check=False)
        if mounted.returncode != 0:
            raise Skipped(f"mount of {kind} was refused: {mounted.stderr.decode().strip()}")

    def unmount(self):
        subprocess.run(["umount", str(self.path)], check=True)

    def free(self):
        room = os.statvfs(self.path)
        return room.f_bavail * room.f_frsize

    def leave(self, size):
        """Grows or shrinks the ballast until so many bytes are free."""
        with open(self.path / "ballast", "ab") as file:
            length = max(0, os.fstat(file.fileno()).st_size + self.free() - size)
            if length > os.fstat(file.fileno()).st_size:
                os.posix_fallocate(file.fileno(), 0, length)
            else:
                file.truncate(length)


def full_tmpfs(case):
    return on_disk(case, "tmpfs")


def full_ext4(case):
    return on_disk(case, "ext4")


def on_disk(case, kind):
    if os.geteuid() != 0:
        raise Skipped("mounting a small file system needs root")
    disk = Disk(case, kind)
    try:
        return fill_and_free(case, disk)
    finally:
        if case.running and case.running.process.poll() is None:
            case.running.kill()
        disk.unmount()


def fill_and_free(case, disk):
    case.store = disk.path / "store"
    case.settings = {"journal": {"keep_free_mib": KEEP_MIB}}
    case.import_cards()
    switch = case.start()
    case.book.not_now = {NOT_NOW}
    turned_away = low_space(case, disk, switch)
    room_again(case, disk, switch)
    before = len(case.book.requests) - len(case.book.unanswered())
    said = to_the_last_byte(case, disk, switch)
    started_full = start_while_full(case)
    disk.leave(4 * KEEP_MIB << 20)
    switch = case.start()
    case.book.not_now = frozenset()
    oracle.repeat_all(switch, case.book, case.cards, list(case.book.requests.values()))
    check(not case.book.unanswered(), "a repeat was not answered after the restart")
    shown = switch.purses(case.CARDS)
    digest = switch.state()["digest"]
    switch.stop()
    audit = case.audit(True, shown)
    check(audit["digest"] == digest, "the replay comes to another state than the running switch")
    return {
        "said": said,
        "turned_away": turned_away,
        "answers_before_full": before,
        "while_full": started_full,
        **audit,
    }


def low_space(case, disk, switch):
    """Questions are turned away, and nothing else is."""
    load = case.load(switch, "low")
    time.sleep(0.5)
    check(case.book.turned_away == 0, "questions were turned away while there was room")
    disk.leave((KEEP_MIB - 4) << 20)
    wait_until(lambda: case.book.turned_away > 20, "no question was turned away on a low disk")
    time.sleep(0.5)
    load.finish()
    counted = switch.get("/healthz")["counters"]["requests_turned_away"]
    told, perhaps = case.book.turned_away, case.book.perhaps
    seen = f"{told} seen, and perhaps {perhaps}"
    check(told <= counted <= told + perhaps, f"{counted} counted as turned away, {seen}")
    check_low(case, switch)
    return told


def check_low(case, switch):
    """One by one: a question, an advice, a reversal, a repeat of what was answered."""
    acquirer = Acquirer(case.book, case.cards, "low", 1)
    stream = switch.connect()
    ask = lambda sent: exchange(case, acquirer, stream, sent)
    answered = [r for r in case.book.requests.values() if r.kind == "purchase" and r.answer]
    first = next(r for r in reversed(answered) if r.answer[0] == "00")
    check(ask(acquirer.purchase(0, 1)).answer is None, "a question was decided on a low disk")
    check(ask(acquirer.advice(0, 1)).answer[0] == "00", "an advice was turned away")
    check(ask(acquirer.reversal(first)).answer[0] == "00", "a reversal was turned away")
    repeats = case.book.repeats
    ask((acquirer.repeat_of(first), [first.identity]))
    check(case.book.repeats == repeats + 1, "a repeat did not get the answer of the first time")
    stream.close()


def exchange(case, acquirer, stream, sent):
    wire, identities = sent
    stream.sendall(wire)
    buffer = bytearray()
    while not acquirer.read_some(stream, buffer):
        pass
    return case.book.requests[identities[0]]


def room_again(case, disk, switch):
    """Without a restart questions are decided again, those that were turned away too."""
    disk.leave(2 * KEEP_MIB << 20)
    acquirer = Acquirer(case.book, case.cards, "again", 2)
    stream = switch.connect()

    def decided():
        return exchange(case, acquirer, stream, acquirer.purchase(0, 1)).answer is not None

    wait_until(decided, "questions are still turned away although there is room")
    stream.close()
    # What was reversed in the meantime is declined for good, with the same code.
    told = {r.original.identity for r in case.book.requests.values() if r.kind == "reversal"}
    unanswered = [r for r in case.book.unanswered() if r.identity not in told]
    check(unanswered, "no question was left to be asked again")
    oracle.repeat_all(switch, case.book, case.cards, unanswered)
    left = [r for r in unanswered if r.answer is None]
    check(not left, f"{len(left)} questions were turned away again although there is room")


def to_the_last_byte(case, disk, switch):
    disk.leave(3 << 20)
    load = case.load(switch, "full", acquirer=Teller)
    code = switch.wait(FULL_SECONDS_MAX)
    load.join()
    said = switch.complaint()
    check(code == 70, f"exit code {code}, expected 70: {said}")
    check(len(said.splitlines()) == 1, f"expected one sentence: {said!r}")
    clear(said, "the disk is full", "nothing acknowledged is lost")
    return said


def start_while_full(case):
    """It runs, or it is refused with the same sentence; it never panics and never loses."""
    case.running = switch = oracle.Switch(
        case.binary, case.store, case.work, settings=case.settings
    )
    switch.await_start()
    if switch.admin_port is not None:
        load = case.load(switch, "still full", acquirer=Teller)
        time.sleep(1)
        if switch.process.poll() is None:
            load.finish()
            switch.signal(15)
        load.join()
    code = switch.wait()
    check(code in (0, 70), f"on the full disk: exit code {code}: {switch.complaint()}")
    if code == 70:
        clear(switch.complaint(), "the disk is full")
    return {"started": switch.admin_port is not None, "exit_code": code, "said": switch.complaint()}


def wait_until(fact, sentence):
    deadline = time.monotonic() + SPACE_SEEN_SECONDS_MAX
    while not fact():
        check(time.monotonic() < deadline, sentence)
        time.sleep(0.05)


if __name__ == "__main__":
    run_cases("disk_full", [full_tmpfs, full_ext4], __doc__)

#!/usr/bin/env python3
"""Ends the switch in an orderly way and in hard times, and holds what it says against its journal.

  sigterm under load   every decision in the journal was answered; exit code 0
  sigterm, slow peers  the same for peers that send on and on and read their answers late
  second process       a store that is open is refused with exit code 75 and a clear sentence
  damaged journal      changed bytes are refused with exit code 65, or change nothing at all
  full disk            exit code 70; nothing answered is lost; more space and it goes on

  tests/drills/sigterm.py [--binary PATH] [--seed N]

The full disk needs root (a small tmpfs) and is skipped, loudly, without. Exit code 0 passed, 1
failed, 77 when anything was skipped and nothing failed. Evidence: target/drills/sigterm.json.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import oracle
from oracle import Acquirer, Book, Load, Oracle, Switch, Wrong, check, replay, run_to_end

CARDS = 60
CONNECTIONS = 6
TMPFS_BYTES = 96 << 20
SPACE_LEFT_BYTES = 3 << 20
SLOW_REQUESTS = 4_000
BLOCKED_SECONDS_MAX = 30


class Skipped(Exception):
    """The case cannot run here."""


class Case:
    """A store with cards, and the book of one case."""

    def __init__(self, binary, directory, seed):
        self.binary, self.work, self.seed = binary, Path(directory), seed
        self.store = self.work / "store"
        self.cards = oracle.test_cards(CARDS)
        self.book = Book(self.work / "book.jsonl")
        self.random = random.Random(seed)
        self.running = None

    def start(self):
        self.running = Switch(self.binary, self.store, self.work)
        return self.running.wait_ready()

    def grow(self, seconds, rounds=1):
        """A store with cards and some decisions, closed."""
        oracle.import_cards(self.binary, self.store, self.work, self.cards)
        for _ in range(rounds):
            switch = self.start()
            load = Load(switch, self.book, self.cards, self.seed, CONNECTIONS)
            time.sleep(seconds)
            load.finish()
            switch.stop()

    def audit(self, all_answered):
        """Book and journal agree; how many answers there were."""
        check(self.book.answers > 0, "there was not one answer: nothing was tested")
        rows, _ = replay(self.binary, self.store)
        model = Oracle(self.cards)
        model.feed(rows, self.book)
        model.check_book(self.book)
        mute = [r.identity for r in self.book.unanswered() if r.identity in model.decided]
        if all_answered:
            check(not mute, f"{len(mute)} of {len(rows)} decisions were never answered: {mute[:3]}")
        return {"answers": self.book.answers, "decided_unanswered": len(mute)}


def sigterm_under_load(case):
    oracle.import_cards(case.binary, case.store, case.work, case.cards)
    for number in range(3 if oracle.is_short() else 10):
        switch = case.start()
        load = Load(switch, case.book, case.cards, f"{case.seed}/{number}", CONNECTIONS)
        time.sleep(case.random.uniform(0.05, 0.6))
        switch.stop()
        load.join()
        last = switch.said[-1]
        check(last.startswith("stopped: everything answered"), f"its last line: {last!r}")
    return case.audit(all_answered=True)


def sigterm_with_slow_peers(case):
    oracle.import_cards(case.binary, case.store, case.work, case.cards)
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


def second_process(case):
    case.grow(0.1)
    switch = case.start()
    said = {}
    for command in (["serve", "--listen", "127.0.0.1:0,be2,iso87-ascii"], ["replay"]):
        code, _, complaint = run_to_end(
            case.binary, *command, "--data", case.store, *admin_if_serve(command)
        )
        check(code == 75, f"{command[0]}: exit code {code}, expected 75: {complaint}")
        clear(complaint, str(case.store), f"process {switch.process.pid}", "stop it first")
        said[command[0]] = complaint
    switch.state()
    switch.stop()
    return {"said": said, **case.audit(all_answered=True)}


def damaged_journal(case):
    case.grow(0.3, rounds=2)
    _, whole = replay(case.binary, case.store)
    log = case.store / "j" / f"{0:016x}" / "db"
    content = log.read_bytes()
    frames = [at for at in range(len(content)) if content.startswith(b"CSJF", at)]
    refused, harmless, said = 0, 0, ""
    for number in range(6 if oracle.is_short() else 24):
        place = case.random.choice(frames) + case.random.randrange(0, 200)
        damaged = bytearray(content)
        for at in range(place, min(place + case.random.randrange(1, 9), len(damaged))):
            damaged[at] ^= 0x41
        copy = case.work / f"damaged-{number}"
        shutil.copytree(case.store, copy)
        (copy / "j" / f"{0:016x}" / "db").write_bytes(damaged)
        switch = Switch(case.binary, copy, case.work)
        switch.ready.wait(30)
        if switch.process.poll() is None and switch.admin_port:
            state = switch.state()
            check(state["digest"] == whole["digest"], f"byte {place}: started with another state")
            switch.stop()
            harmless += 1
        else:
            code = switch.wait()
            said = switch.complaint()
            check(code == 65, f"byte {place}: exit code {code}, expected 65: {said}")
            clear(said, str(copy), "damaged", "Restore the directory from a backup")
            refused += 1
        shutil.rmtree(copy)
    check(refused > 0, "no damage was refused: the drill damaged nothing that counts")
    return {"refused": refused, "harmless": harmless, "said": said}


def full_disk(case):
    if os.geteuid() != 0:
        raise Skipped("mounting a small tmpfs needs root")
    disk = case.work / "disk"
    disk.mkdir()
    size = ["-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "tmpfs", str(disk)]
    if subprocess.run(["mount", *size], check=False).returncode != 0:
        raise Skipped("mount of a tmpfs was refused")
    try:
        return fill_and_free(case, disk)
    finally:
        if case.running and case.running.process.poll() is None:
            case.running.kill()
        subprocess.run(["umount", str(disk)], check=True)


def fill_and_free(case, disk):
    case.store = disk / "store"
    oracle.import_cards(case.binary, case.store, case.work, case.cards)
    switch = case.start()
    free = os.statvfs(disk)
    ballast = disk / "ballast"
    with open(ballast, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - SPACE_LEFT_BYTES)
    load = Load(switch, case.book, case.cards, case.seed, CONNECTIONS)
    code = switch.wait(120)
    load.join()
    said = switch.complaint()
    check(code == 70, f"exit code {code}, expected 70: {said}")
    clear(said, "the disk is full", "nothing acknowledged is lost")
    before = case.book.answers
    check(before > 0, "the disk was full before the first answer")
    ballast.unlink()
    switch = case.start()
    oracle.repeat_all(switch, case.book, case.cards, list(case.book.requests.values()))
    check(not case.book.unanswered(), "a repeat was not answered after the restart")
    switch.stop()
    return {"said": said, "answers_before_full": before, **case.audit(all_answered=True)}


def admin_if_serve(command):
    return ["--admin", "127.0.0.1:0"] if command[0] == "serve" else []


def clear(sentence, *parts):
    """One line that names what an operator needs, and nothing that frightens him."""
    for part in parts:
        check(part in sentence, f"expected {part!r} in {sentence!r}")
    for noise in ("panicked at", "RUST_BACKTRACE"):
        check(noise not in sentence, f"a raw panic: {sentence!r}")


CASES = [sigterm_under_load, sigterm_with_slow_peers, second_process, damaged_journal, full_disk]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", help="the switch [target/release/cardswitch]")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", choices=[case.__name__ for case in CASES])
    arguments = parser.parse_args()
    binary = oracle.binary_of(arguments.binary)
    print(f"sigterm: seed {arguments.seed}", flush=True)
    outcomes, skipped = {}, 0
    for run in CASES:
        if arguments.only not in (None, run.__name__):
            continue
        with tempfile.TemporaryDirectory(prefix="sigterm-") as directory:
            case = Case(binary, directory, f"{arguments.seed}/{run.__name__}")
            try:
                outcomes[run.__name__] = {"passed": True, **run(case)}
                word = "ok"
            except Wrong as wrong:
                outcomes[run.__name__] = {"passed": False, "wrong": str(wrong)}
                word = "FAILED"
            except Skipped as why:
                skipped += 1
                word = f"SKIPPED {why}"
            if case.running and case.running.process.poll() is None:
                case.running.kill()
        print(f"{run.__name__}: {word} {outcomes.get(run.__name__, '')}", flush=True)
    passed = sum(outcome["passed"] for outcome in outcomes.values())
    failed = len(outcomes) - passed
    evidence = {"seed": arguments.seed, "passed": passed, "failed": failed, "cases": outcomes}
    path = oracle.write_evidence("sigterm", binary, evidence)
    print(f"{passed} passed, {failed} failed, {skipped} skipped (evidence in {path})")
    sys.exit(1 if failed else 77 if skipped else 0)


if __name__ == "__main__":
    main()

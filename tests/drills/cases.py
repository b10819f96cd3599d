"""Drills that are a list of cases: each gets a folder and a store of its own, and is told apart.

Python 3 standard library only; not a drill by itself, and therefore not executable.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import oracle
from oracle import Book, Load, Oracle, Switch, Wrong, check, replay


class Skipped(Exception):
    """The case cannot run here."""


class Case:
    """A store with cards, and the book of one case."""

    CARDS = 60
    CONNECTIONS = 6

    def __init__(self, binary, directory, seed):
        self.binary, self.work, self.seed = binary, Path(directory), seed
        self.store = self.work / "store"
        self.cards = oracle.test_cards(self.CARDS)
        self.book = Book(self.work / "book.jsonl")
        self.random = random.Random(seed)
        self.settings = {}
        self.running = None

    def import_cards(self):
        oracle.import_cards(self.binary, self.store, self.work, self.cards)

    def start(self, before=(), arguments=()):
        self.running = Switch(
            self.binary, self.store, self.work, before, self.settings, arguments
        )
        return self.running.wait_ready()

    def load(self, switch, seed="", **more):
        return Load(switch, self.book, self.cards, f"{self.seed}/{seed}", self.CONNECTIONS, **more)

    def grow(self, seconds, rounds=1):
        """A store with cards and some decisions, closed."""
        self.import_cards()
        for number in range(rounds):
            switch = self.start()
            load = self.load(switch, number)
            time.sleep(seconds)
            load.finish()
            switch.stop()

    def audit(self, all_answered, shown=None):
        """Book and journal agree, and the purses that were shown; how many answers there were."""
        check(self.book.answers > 0, "there was not one answer: nothing was tested")
        rows, summary = replay(self.binary, self.store)
        model = Oracle(self.cards)
        model.feed(rows, self.book)
        model.check_book(self.book)
        if shown:
            model.check_accounts(shown)
        mute = [r.identity for r in self.book.unanswered() if r.identity in model.decided]
        if all_answered:
            check(not mute, f"{len(mute)} of {len(rows)} decisions were never answered: {mute[:3]}")
        return {
            "answers": self.book.answers,
            "decided_unanswered": len(mute),
            "digest": summary["digest"],
        }


def clear(sentence, *parts):
    """One line that names what an operator needs, and nothing that frightens him."""
    for part in parts:
        check(part in sentence, f"expected {part!r} in {sentence!r}")
    for noise in ("panicked at", "RUST_BACKTRACE"):
        check(noise not in sentence, f"a raw panic: {sentence!r}")


def run_cases(name, cases, description):
    """The `main` of such a drill."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--binary", help="the switch [target/release/cardswitch]")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", choices=[case.__name__ for case in cases])
    arguments = parser.parse_args()
    binary = oracle.binary_of(arguments.binary)
    print(f"{name}: seed {arguments.seed}", flush=True)
    outcomes, skipped = {}, {}
    for run in cases:
        if arguments.only not in (None, run.__name__):
            continue
        with tempfile.TemporaryDirectory(prefix=f"{name}-") as directory:
            case = Case(binary, directory, f"{arguments.seed}/{run.__name__}")
            try:
                outcomes[run.__name__] = {"passed": True, **run(case)}
                word = "ok"
            except Wrong as wrong:
                outcomes[run.__name__] = {"passed": False, "wrong": str(wrong)}
                word = "FAILED"
            except Skipped as why:
                skipped[run.__name__] = str(why)
                word = f"SKIPPED {why}"
            finally:
                if case.running and case.running.process.poll() is None:
                    case.running.kill()
        print(f"{run.__name__}: {word} {outcomes.get(run.__name__, '')}", flush=True)
    passed = sum(outcome["passed"] for outcome in outcomes.values())
    failed = len(outcomes) - passed
    evidence = {"seed": arguments.seed, "passed": passed, "failed": failed}
    evidence |= {"skipped": skipped, "cases": outcomes}
    path = oracle.write_evidence(name, binary, evidence)
    print(f"{passed} passed, {failed} failed, {len(skipped)} skipped (evidence in {path})")
    sys.exit(1 if failed else 77 if skipped else 0)

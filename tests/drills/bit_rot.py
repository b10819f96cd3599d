#!/usr/bin/env python3
"""Bit rot: changes what is stored, one thing at a time, and asks for the state again.

Three small stores are made by a run of the switch (ring, sled and a checkpoint): one that was
closed, one whose switch was killed with its watermark written before each answer, and one killed
with the watermark that follows within milliseconds. Then, one at a time: a bit of every byte that
was ever written, blocks of 512 and 4,096 bytes zeroed, as they were before, or exchanged, files cut
and files and folders removed. After each, `cardswitch store verify`, and for a part of them
`serve`:
  - says that the store is damaged (exit code 65, or 66 where no store is left), in clear sentences,
  - or comes to exactly the state that the answered messages make, and a card still buys.
Never a panic, never a state without an answer that a client has seen. In the third store a damage
of what lies beyond the watermark cannot be told from a torn write; it is counted by itself, and may
take no record up to the watermark.

  tests/drills/bit_rot.py [CASES] [--every-byte [STORE]...] [--binary PATH] [--seed N]

3,000 cases unless told otherwise; --every-byte takes all, of one store or of each (hours).
DRILL_SHORT=1: 150 cases. Exit code 0 passed, 1 failed. Evidence: target/drills/bit_rot.json.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import damage
import oracle
from oracle import Acquirer, Book, Load, Oracle, Switch, Wrong, check, replay, run_to_end
from wire import read_message

CARDS = 4
# More than there are cores: each case waits for the system half of its time.
WORKERS = 4
SERVED_ONE_IN = 6
SHORT_CASES, CASES = 150, 3_000
SHARES = {"flips": 0.6, "blocks": 0.25, "cuts": 0.1, "removals": 0.05}
REFUSED_CODES = {65, 66}
# Name, when the watermark is written, whether the switch was killed.
KINDS = [("closed", "lazy", False), ("killed", "before-reply", True), ("late", "lazy", True)]
NOISE = ("panicked at", "RUST_BACKTRACE", "stack backtrace")


class Original:
    """A store as a run left it, and what it holds."""

    def __init__(self, binary, work, name, watermark, killed):
        self.binary, self.name, self.work = binary, name, Path(work) / name
        self.work.mkdir()
        self.store, self.whole = self.work / "store", self.work / "whole"
        self.earlier = self.work / "earlier"
        programmes = self.work / "programmes"
        programmes.mkdir()
        # One programme only: the first record holds them all, and the fewer bytes the more of them.
        text = (oracle.ROOT / "spec/programme/prepaid-jp.toml").read_text()
        rows = [row for row in text.splitlines() if row and not row.startswith("#")]
        (programmes / "prepaid-jp.toml").write_text("\n".join(rows) + "\n")
        journal = {"ring_mib": 1, "watermark": watermark, "keep_free_mib": 0}
        self.settings = {"programmes_dir": str(programmes), "journal": journal}
        self.cards = oracle.test_cards(CARDS)
        self.book = Book(self.work / "book.jsonl")
        self.tail_may_go = killed and watermark == "lazy"
        self._make(killed)

    def _make(self, killed):
        oracle.import_cards(self.binary, self.store, self.work, self.cards)
        switch = self.serve(self.store, self.work).wait_ready()
        self._ask(switch, 1)
        connection = switch.admin()
        connection.request("POST", "/v1/checkpoint")
        check(connection.getresponse().status == 200, "no checkpoint was made")
        connection.close()
        shutil.copytree(self.store, self.earlier)
        self._ask(switch, 2)
        switch.kill() if killed else switch.stop()
        shutil.copytree(self.store, self.whole)
        rows, _ = replay(self.binary, self.store)
        model = Oracle(self.cards)
        model.feed(rows, self.book)
        model.check_book(self.book)
        check(not self.book.unanswered(), "a message of the making was not answered")
        self.answers = len(self.book.requests)
        code, said, complaint = self.verify(self.whole)
        check(code == 0, f"the undamaged store: exit code {code}: {said} {complaint}")
        self.sound = json.loads(said)
        self.records = self.sound["journal"]["last_sequence"]
        self.from_ring = self.sound["journal"]["frames_from_ring"]
        check(not killed or self.from_ring, "the ring of a killed switch held nothing that counts")
        self.damages = damage.all_of(self.whole, self.earlier, self.name)

    def _ask(self, switch, seed):
        """A few messages, one after the other: each its own frame in the ring."""
        acquirer = Acquirer(self.book, self.cards, seed, 0)
        stream, buffer = switch.connect(), bytearray()
        for _ in range(8):
            wire, waiting = acquirer.compose()
            stream.sendall(wire)
            waiting = len(waiting)
            while waiting:
                waiting -= acquirer.read_some(stream, buffer)
        stream.close()

    def may_end_at(self, sequence):
        """Whether the damage of an end beyond the watermark may have gone unseen."""
        watermark = self.sound["journal"]["watermark"]
        return self.tail_may_go and watermark <= sequence < self.records

    def serve(self, store, work):
        return Switch(self.binary, store, work, settings=self.settings)

    def verify(self, store):
        return run_to_end(
            self.binary, "store", "verify", "--data", store, "--json", "--scratch", self.work
        )

    def chosen(self, count, dice):
        """So many damages, of each kind its share and of each file alike."""
        chosen = []
        for kind, share in SHARES.items():
            by_file = {}
            for one in self.damages[kind]:
                by_file.setdefault(one.file, []).append(one)
            piles = list(by_file.values())
            for pile in piles:
                dice.shuffle(pile)
            wanted = min(max(1, round(count * share)), len(self.damages[kind]))
            while wanted:
                for pile in [pile for pile in piles if pile][:wanted]:
                    chosen.append(pile.pop())
                    wanted -= 1
                dice.shuffle(piles)
        return chosen

    def all_damages(self):
        return [one for kind in self.damages.values() for one in kind]


class Place:
    """A copy of an original that one worker damages and mends."""

    def __init__(self, original, number):
        self.original = original
        self.work = original.work / f"place-{number}"
        self.work.mkdir()
        self.store = self.work / "store"
        shutil.copytree(original.whole, self.store)

    def case(self, one, with_serve):
        """What was said of one damage: harmless, refused or tail; Wrong otherwise."""
        one.do(self.store)
        try:
            outcome = self.verdict(one, *self.original.verify(self.store))
            if with_serve:
                self.served(one)
        finally:
            one.undo(self.store, self.original.whole)
        return outcome

    def verdict(self, one, code, said, complaint):
        quiet(said + complaint)
        if code in REFUSED_CODES:
            check(complaint.startswith("cardswitch: "), f"refused without a word: {complaint}")
            return "refused"
        check(code == 0, f"verify: exit code {code}: {complaint}")
        found = json.loads(said)
        if found["digest"] == self.original.sound["digest"]:
            return "harmless"
        reached = found["journal"]["last_sequence"]
        lost = self.original.records - reached
        check(self.original.may_end_at(reached),
              f"SILENT: verify finds nothing, and {lost} records are gone or changed")  # fmt: skip
        return "tail"

    def served(self, one):
        copy = self.work / "copy"
        shutil.copytree(self.store, copy)
        try:
            self.try_serve(copy)
        finally:
            shutil.rmtree(copy)

    def try_serve(self, store):
        switch = self.original.serve(store, self.work)
        switch.await_start()
        if switch.port is None or switch.admin_port is None:
            code = switch.wait()
            said = switch.complaint()
            quiet(said)
            check(code in REFUSED_CODES, f"serve: exit code {code}: {said}")
            check(said.startswith("cardswitch: "), f"serve refuses without a word: {said!r}")
            return
        try:
            self.check_running(switch)
        finally:
            switch.stop() if switch.process.poll() is None else switch.kill()
        quiet(switch.complaint())

    def check_running(self, switch):
        state = switch.state()
        is_same = state["digest"] == self.original.sound["digest"]
        tail = self.original.may_end_at(state["sequence"])
        check(is_same or tail, f"SILENT: serve started with another state, {state['sequence']}")
        book = Book(self.work / "one.jsonl")
        wire, _ = Acquirer(book, self.original.cards, "buys", 1).purchase(0, 1)
        with switch.connect() as stream:
            stream.sendall(wire)
            length = int.from_bytes(stream.recv(2), "big")
            code = read_message(stream.recv(length))[1][39]
        check(code == "00", f"SILENT: serve started, and a card that could buy gets {code}")


def quiet(text):
    for noise in NOISE:
        check(noise not in text, f"a panic: {text[:300]}")


class Drill:
    """All cases of one run, taken by a few workers."""

    def __init__(self, originals, seed):
        self.outcomes, self.wrong, self.served = {}, [], 0
        self.seed, self.done = seed, 0
        self.originals = originals

    def run(self, cases):
        with ThreadPoolExecutor(WORKERS) as pool:
            for worker in range(WORKERS):
                pool.submit(self.work, worker, cases[worker::WORKERS])

    def work(self, worker, cases):
        places = {original: Place(original, worker) for original in self.originals}
        for number, (original, one) in enumerate(cases):
            with_serve = number % SERVED_ONE_IN == 0 or one.kind == "removed"
            with_serve |= one.file.name == "card-token.key"
            try:
                outcome = places[original].case(one, with_serve)
            except (Wrong, OSError, ValueError, KeyError, TypeError) as error:
                outcome = "wrong"
                self.wrong.append(f"{original.name}: {one}: {type(error).__name__} {error}")
                print(f"FAILED {self.wrong[-1]}", flush=True)
            key = (original.name, one.kind.split(" at")[0], outcome)
            self.outcomes[key] = self.outcomes.get(key, 0) + 1
            self.served += with_serve
            self.done += 1


def work_folder():
    """Memory, where there is some: what a disk does with flushes does not matter here."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    standard = SHORT_CASES if oracle.is_short() else CASES
    parser.add_argument("cases", type=int, nargs="?", default=standard)
    stores = [kind[0] for kind in KINDS]
    parser.add_argument("--every-byte", nargs="*", choices=stores, help="of these stores, or all")
    parser.add_argument("--binary", help="the switch [target/release/cardswitch]")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    binary = oracle.binary_of(arguments.binary)
    dice = random.Random(arguments.seed)
    every = arguments.every_byte
    kinds = [kind for kind in KINDS if not every or kind[0] in every]
    with tempfile.TemporaryDirectory(prefix="bit_rot-", dir=work_folder()) as directory:
        originals = [Original(binary, directory, *kind) for kind in kinds]
        cases = []
        for original in originals:
            share = max(1, arguments.cases // len(originals))
            chosen = original.chosen(share, dice)
            chosen = original.all_damages() if every is not None else chosen
            cases += [(original, one) for one in chosen]
            print(f"{original.name}: {original.answers} answers, {original.records} records, "
                  f"{original.from_ring} frames in the ring only, "
                  f"{sum(map(len, original.damages.values()))} damages known")  # fmt: skip
        dice.shuffle(cases)
        print(f"bit_rot: {len(cases)} cases, seed {arguments.seed}", flush=True)
        drill = Drill(originals, arguments.seed)
        drill.run(cases)
    finish(arguments, binary, drill, len(cases))


def finish(arguments, binary, drill, count):
    rows = [[*key, times] for key, times in sorted(drill.outcomes.items())]
    for store, kind, outcome, times in rows:
        print(f"{store:7} {kind:24} {outcome:9} {times:7}")
    failed = len(drill.wrong) + count - drill.done
    content = {"seed": arguments.seed, "every_byte": arguments.every_byte, "served": drill.served}
    content |= {"passed": count - failed, "failed": failed, "wrong": drill.wrong, "cases": rows}
    path = oracle.write_evidence("bit_rot", binary, content)
    print(f"{count - failed} passed, {failed} failed, {drill.served} of them served "
          f"(evidence in {path})")  # fmt: skip
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

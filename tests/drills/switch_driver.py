#!/usr/bin/env python3
"""The whole switch under a power cut drill, see power_cut.py.

  power_cut.py 20 --switch        starts both commands:
  switch_driver.py write STORE ACKNOWLEDGEMENTS
  switch_driver.py verify STORE ACKNOWLEDGEMENTS

`write` imports cards, starts the switch on the store and sends load for ever; every answer is a
line of the acknowledgement file. `verify` replays the store and fails unless each of those answers
is in the journal exactly once, as it was given. About half of the runs have a slow disk (see
oracle.py), so that a cut falls between an answer and its flush. Not a drill by itself.
"""

import json
import random
import sys
import time
from pathlib import Path

import oracle
from oracle import Book, Load, Switch, replay

CARDS = 100
CONNECTIONS = 4


class Acknowledged(Book):
    """Writes answers only: the file exists when the first approval has come."""

    def __init__(self, path, work):
        super().__init__(work + "/book.jsonl")
        self.acks = open(path, "a", buffering=1)

    def answered(self, mti, elements):
        request = super().answered(mti, elements)
        if request and request.answer and elements.get(39) == request.answer[0]:
            self.acks.write(json.dumps([*request.identity, *request.answer]) + "\n")
        return request


def write(store, acks):
    binary = oracle.binary_of(None)
    # Beside the acknowledgements: the store's file system belongs to the switch alone.
    work = str(Path(acks).parent)
    cards = oracle.test_cards(CARDS)
    oracle.import_cards(binary, store, work, cards)
    book = Acknowledged(acks, work)
    before = () if not oracle.is_short() and random.random() < 0.5 else oracle.slow_disk() or ()
    (Path(work) / "mode").write_text("slow disk" if before else "plain")
    switch = Switch(binary, store, work, before).wait_ready()
    Load(switch, book, cards, time.time(), CONNECTIONS).join()
    raise SystemExit("the load ended by itself")


def verify(store, acks):
    rows, summary = replay(oracle.binary_of(None), store)
    found, doubled = {}, 0
    for row in rows:
        if row["stored"]:
            identity = (row["mti"][1], row["transmitted"], row["stan"])
            doubled += identity in found
            found[identity] = (row["code"], row["approval"])
    given, lost, other = {}, 0, 0
    with open(acks) as lines:
        for line in lines:
            if not line.endswith("\n"):
                break  # the cut fell into the writing of it
            *identity, code, approval = json.loads(line)
            given[tuple(identity)] = (code, approval)
    for identity, answer in given.items():
        lost += identity not in found
        other += identity in found and found[identity] != answer
    approvals = sum(code == "00" for code, _ in given.values())
    word = "LOST" if lost or other or doubled else "OK"
    mode = (Path(acks).parent / "mode").read_text()
    print(
        f"{word} {mode}: answers={len(given)} approvals={approvals} lost={lost} doubled={doubled} "
        f"changed={other} records={summary['sequence']} digest={summary['digest'][:16]}"
    )
    raise SystemExit(word != "OK")


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("write", "verify"):
        raise SystemExit(__doc__)
    {"write": write, "verify": verify}[sys.argv[1]](*sys.argv[2:])

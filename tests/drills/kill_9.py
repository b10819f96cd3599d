#!/usr/bin/env python3
"""kill -9: ends the switch at a random moment under load, restarts it, and audits everything.

Several connections send purchases, captures, reversals, refunds, loads and repeats. Every request
is noted before it is sent, every answer after it came. After each kill:
  - every answer a client received is in the journal exactly once, as it was given;
  - an unanswered request has no record or one, and a repeat of it gets that record's answer;
  - a repeat of an answered request gets the same approval code and response code;
  - every purse is what a second, independent model makes of the decisions, none below zero;
  - the digest of the restarted switch equals that of two replays, and again after a clean stop.
All the while checkpoints are made, one after the other, so that kills fall into them; a restart
begins at one, and its digest must be that of the whole journal. Some restarts are killed too, before the last one is let through. Every second kill falls on a
switch whose writes and flushes are held up (strace): without that the moment between an answer
and its record is too short to be hit.

  tests/drills/kill_9.py [KILLS] [--binary PATH] [--seed N]

Exit code 0 passed, 1 failed. Evidence: target/drills/kill_9.json. DRILL_SHORT=1: 5 kills.
"""

import argparse
import http.client
import random
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import oracle
from oracle import Book, Load, Oracle, Switch, Wrong, check, replay

CARDS = 200
CONNECTIONS = 8
KILLS_PER_STORE = 10
REPEATS_PER_KILL = 400


def make_checkpoint(switch):
    connection = switch.admin()
    connection.request("POST", "/v1/checkpoint")
    response = connection.getresponse()
    response.read()
    connection.close()
    check(response.status == 200, f"no checkpoint: {response.status}")


class Checkpoints(threading.Thread):
    """Asks the switch for one checkpoint after the other, until it is gone."""

    def __init__(self, switch):
        super().__init__(daemon=True)
        self.switch, self.made = switch, 0
        self.start()

    def run(self):
        try:
            while True:
                make_checkpoint(self.switch)
                self.made += 1
        except (OSError, http.client.HTTPException):
            return  # It was killed.


class Store:
    """A store that grows from kill to kill, with everything known about it."""

    def __init__(self, binary, directory, number):
        self.binary = binary
        self.work = Path(directory)
        self.path = self.work / "store"
        self.cards = oracle.test_cards(CARDS)
        self.book = Book(self.work / "book.jsonl")
        self.oracle = Oracle(self.cards)
        self.number = number
        self.checkpoints = 0
        self.switch = None
        oracle.import_cards(binary, self.path, self.work, self.cards)

    def start(self, before=()):
        self.switch = Switch(self.binary, self.path, self.work, before)
        return self.switch


def kill_once(store, seed, before):
    """One kill with its audit; figures, or Wrong."""
    dice = random.Random(seed)
    book = store.book
    switch = store.start(before).wait_ready()
    load = Load(switch, book, store.cards, seed, CONNECTIONS)
    checkpoints = Checkpoints(switch)
    seconds = dice.uniform(0.05, 1.5)
    time.sleep(seconds)
    switch.kill()
    load.join()
    checkpoints.join()
    unanswered = book.unanswered()
    approvals = [request for request in book.requests.values() if request.answer]
    approvals = [request for request in approvals if request.answer[0] == "00"]

    rows, summary = audit_journal(store, approvals)
    decided = sum(request.identity in store.oracle.decided for request in unanswered)
    restarts = restart_and_kill(store, dice)
    switch = store.start().wait_ready()
    begun_at = next((line for line in switch.said if "checkpoint at record" in line), None)
    store.checkpoints += checkpoints.made
    check(begun_at or not store.checkpoints, f"not begun at a checkpoint: {switch.said}")
    digest = switch.state()["digest"]
    check(digest == summary["digest"], f"restarted {digest}, replayed {summary['digest']}")

    again = dice.sample(approvals, min(len(approvals), REPEATS_PER_KILL))
    oracle.repeat_all(switch, book, store.cards, unanswered + again)
    check(not book.unanswered(), "a repeat was not answered")
    # However busy the machine is, the next kill meets a store that has one.
    make_checkpoint(switch)
    store.checkpoints += 1
    shown, digest = switch.purses(CARDS), switch.state()["digest"]
    switch.stop()

    rows, summary = replay(store.binary, store.path)
    check(digest == summary["digest"], f"running {digest}, replayed {summary['digest']}")
    store.oracle.feed(rows, book)
    store.oracle.check_book(book)
    store.oracle.check_accounts(shown)
    return {
        "passed": True,
        "slow_disk": bool(before),
        "seconds": round(seconds, 3),
        "approvals": len(approvals),
        "checkpoints_made": checkpoints.made,
        "begun_at_checkpoint": begun_at,
        "unanswered": len(unanswered),
        "unanswered_with_record": decided,
        "killed_restarts": restarts,
        "records": summary["sequence"],
        "generations": len(list((store.path / "j").iterdir())),
    }


def audit_journal(store, approvals):
    """Replays a copy of what the kill left, twice, and holds it against the book."""
    copy = store.work / "copy"
    shutil.copytree(store.path, copy)
    try:
        rows, summary = replay(store.binary, copy)
        _, second = replay(store.binary, copy)
    finally:
        shutil.rmtree(copy)
    check(second == summary, f"two replays differ: {summary} and {second}")
    times = {}
    for row in rows:
        if row["stored"] and row["code"] == "00":
            identity = (row["mti"][1], row["transmitted"], row["stan"])
            times[identity] = times.get(identity, 0) + 1
    lost = sum(request.identity not in times for request in approvals)
    doubled = sum(count > 1 for count in times.values())
    if lost or doubled:
        wrong = Wrong(f"of {len(approvals)} approvals {lost} LOST, {doubled} DOUBLED")
        wrong.lost, wrong.doubled = lost, doubled
        raise wrong
    store.oracle.feed(rows, store.book)
    store.oracle.check_book(store.book)
    return rows, summary


def restart_and_kill(store, dice):
    count = 0
    while dice.random() < 0.25:
        switch = store.start()
        time.sleep(dice.uniform(0, 0.15))
        switch.kill()
        count += 1
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kills", type=int, nargs="?", default=5 if oracle.is_short() else 50)
    parser.add_argument("--binary", help="the switch [target/release/cardswitch]")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    binary = oracle.binary_of(arguments.binary)
    print(f"kill_9: {arguments.kills} kills, seed {arguments.seed}", flush=True)
    slow = oracle.slow_disk()
    if slow is None:
        print("SKIPPED the slow disk: strace is missing or forbidden. An answer that leaves a")
        print("moment before it is written would hardly ever be seen by this run.")
    outcomes, directory, store = [], None, None
    totals = {"approvals": 0, "answers": 0, "repeats": 0, "lost": 0, "doubled": 0, "stores": 0}
    totals["codes"] = {}

    def close_store():
        totals["approvals"] += store.book.approvals
        totals["answers"] += store.book.answers
        totals["repeats"] += store.book.repeats
        totals["stores"] += 1
        for request in store.book.requests.values():
            code = request.answer[0] if request.answer else "none"
            totals["codes"][code] = totals["codes"].get(code, 0) + 1
        if store.switch and store.switch.process.poll() is None:
            store.switch.kill()
        directory.cleanup()

    for number in range(1, arguments.kills + 1):
        if store is None:
            directory = tempfile.TemporaryDirectory(prefix="kill_9-")
            store = Store(binary, directory.name, number)
        try:
            before = slow if slow and number % 2 == 1 else ()
            outcome = kill_once(store, f"{arguments.seed}/{number}", before)
        except Wrong as wrong:
            outcome = {"passed": False, "slow_disk": bool(before), "wrong": str(wrong)}
            totals["lost"] += getattr(wrong, "lost", 0)
            totals["doubled"] += getattr(wrong, "doubled", 0)
        outcomes.append(outcome)
        print(f"kill {number:3} {describe(outcome)}", flush=True)
        if not outcome["passed"] or number - store.number + 1 >= KILLS_PER_STORE:
            close_store()
            store = None
    if store is not None:
        close_store()
    finish(arguments, binary, outcomes, totals)


def describe(outcome):
    if not outcome["passed"]:
        return f"FAILED {outcome['wrong']}"
    slow = ", slow disk" if outcome["slow_disk"] else ""
    return (
        f"ok after {outcome['seconds']:.2f} s: {outcome['approvals']} approvals, "
        f"{outcome['unanswered']} unanswered of which {outcome['unanswered_with_record']} with "
        f"a record, {outcome['killed_restarts']} restarts killed{slow}"
    )


def finish(arguments, binary, outcomes, totals):
    passed = sum(outcome["passed"] for outcome in outcomes)
    failed = len(outcomes) - passed
    path = oracle.write_evidence(
        "kill_9",
        binary,
        {"seed": arguments.seed, "passed": passed, "failed": failed, **totals, "kills": outcomes},
    )
    print(
        f"{totals['approvals']} approvals seen, {totals['lost']} lost, {totals['doubled']} "
        f"doubled; {totals['answers']} answers, {totals['repeats']} repeats answered alike; "
        f"codes {dict(sorted(totals['codes'].items()))}"
    )
    print(f"{passed} passed, {failed} failed (evidence in {path})")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

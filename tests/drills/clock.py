#!/usr/bin/env python3
"""Midnights, ends of months and years, a leap day, and clocks that jump, in Asia/Tokyo.

A demo switch lives ahead of the wall clock (`serve --demo --clock-ahead`), in front of a moment
that it then passes through; its programme allows three purchases a day and five a month:

  midnights       the day's limit begins anew at midnight in Tokyo and not at that of UTC; the
                  month's at the end of a month of 30, 31, 28 and 29 days and of a year, and not on
                  the 29th of February; a card ends with its last month; a repeat from before
                  midnight gets its answer
  holds expire    a hold stands on its 44th day and is gone on its 46th; a clock that then goes back
                  brings nothing back, and a capture that comes still posts
  clock goes back a restart a day earlier, and one a month earlier, decide at the time that was
                  reached: the limits of that day hold, the journal's time never falls
  live jumps      the clock of the running switch jumps to and fro by hours under load (a shim
                  before clock_gettime, compiled with cc): each answer is there once, the books are
                  right; then 46 days ahead, and the hold is gone within seconds

  tests/drills/clock.py [--binary PATH] [--seed N] [--only CASE]

The last case needs a C compiler. Exit code 0 passed, 1 failed, 77 skipped. Evidence:
target/drills/clock.json.
"""

import datetime
import re
import shutil
import threading
import time
from pathlib import Path

import oracle
import wall_clock
from cases import Case, Skipped, run_cases
from oracle import Acquirer, Book, Switch, check, replay

TOKYO = datetime.timezone(datetime.timedelta(hours=9))
# Demo cards: a verified holder's with much money, and one whose holder is not verified.
RICH, RICH_ACCOUNT = "4761739001010200", 2
UNVERIFIED = "4761739001010218"
CARDS = [(RICH, (0, 0)), (UNVERIFIED, (0, 0))]
DAY_MAX, MONTH_MAX = 3, 5
BEFORE_SECONDS = 7
SECONDS_MAX = 15
APPROVED, EXPIRED, TOO_MANY = "00", "54", "65"

# Name, last day before the midnight, what a purchase gets behind it when the month was used up.
MIDNIGHTS = [
    ("within a month", (2027, 3, 10), TOO_MANY),
    ("month of 30 days", (2027, 4, 30), APPROVED),
    ("month of 31 days", (2027, 5, 31), APPROVED),
    ("February of 28 days", (2027, 2, 28), APPROVED),
    ("leap year, 28 February", (2028, 2, 28), TOO_MANY),
    ("leap day", (2028, 2, 29), APPROVED),
    ("year end", (2027, 12, 31), APPROVED),
]

def tokyo(date, hour=0, minute=0, second=0):
    return datetime.datetime(*date, hour, minute, second, tzinfo=TOKYO).timestamp()


class Till:
    """A shop and a switch that lives at chosen times, on one store."""

    def __init__(self, binary, work):
        self.binary, self.work = binary, Path(work)
        self.work.mkdir()
        self.store = self.work / "store"
        self.book = Book(self.work / "book.jsonl")
        self.acquirer = Acquirer(self.book, CARDS, "till", 0)
        self.settings = {
            "programmes_dir": str(self.programmes()),
            "retention": {"expire_every_seconds": 1},
        }
        self.running, self.ahead, self.reached = None, 0, ""

    def programmes(self):
        folder = self.work / "programmes"
        shutil.copytree(oracle.ROOT / "spec/programme", folder)
        file = folder / "prepaid-jp.toml"
        text = file.read_text()
        for window, count in (("day", DAY_MAX), ("month", MONTH_MAX)):
            of = f'channel = "purchase"\nwindow = "{window}"\nkyc = "verified"\n'
            text, found = re.subn(rf"({of}[^\[]*?count_max = )\d+", rf"\g<1>{count}", text)
            check(found == 1, f"the programme has {found} limits of a {window}, expected one")
        file.write_text(text)
        return folder

    def live_at(self, moment):
        """Stops the switch that runs, and starts one for which it is that moment."""
        self.stop()
        self.ahead = int(moment - time.time())
        arguments = ["--demo", "--clock-ahead", str(self.ahead)]
        self.running = Switch(
            self.binary, self.store, self.work, settings=self.settings, arguments=arguments
        )
        self.running.wait_ready()
        self.look()

    def look(self):
        """The time of the state, which never falls."""
        state = self.running.state()
        check(state["at"] >= self.reached, f"it was {self.reached}, and it is {state['at']}")
        self.reached = state["at"]
        return state

    def now(self):
        return time.time() + self.ahead

    def stop(self):
        if self.running:
            digest = self.look()["digest"]
            self.running.stop()
            self.running = None
            _, summary = replay(self.binary, self.store)
            check(summary["digest"] == digest, "the replay comes to another state")

    def end(self):
        if self.running and self.running.process.poll() is None:
            self.running.kill()

    def exchange(self, sent):
        """The request with its answer, and the code of this answer."""
        wire, (identity,) = sent
        with self.running.connect() as stream:
            stream.sendall(wire)
            buffer = bytearray()
            while not self.acquirer.read_some(stream, buffer):
                pass
        check(not self.book.mistakes, "; ".join(self.book.mistakes[:3]))
        return self.book.requests[identity]

    def buy(self, minor=100, card=0, mti="0100"):
        request = self.exchange(self.acquirer.purchase(card, minor, mti))
        return request

    def codes(self, count):
        return [self.buy().answer[0] for _ in range(count)]

    def expect(self, what, count, code):
        codes = self.codes(count)
        check(codes == [code] * count, f"{what}: {codes}, expected {code}")

    def held(self):
        purses = self.running.get(f"/v1/accounts/{RICH_ACCOUNT}")["purses"]
        return sum(purse["held"] for purse in purses)


def each_beside_the_others(case, jobs):
    """Each job has a till of its own; they wait for the clock at the same time."""
    wrong, told, threads = [], {}, []

    def run(number, name, job):
        till = None
        try:
            till = Till(case.binary, case.work / f"till-{number}")
            told[name] = job(till)
        except Exception as error:  # Told below, by the thread that waits.
            wrong.append(f"{name}: {type(error).__name__} {error}")
        finally:
            if till:
                till.end()

    for number, (name, job) in enumerate(jobs):
        threads.append(threading.Thread(target=run, args=(number, name, job)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    check(not wrong and len(told) == len(jobs), "; ".join(wrong))
    return told


def midnights(case):
    jobs = [
        (name, lambda till, date=date, code=code: through_midnight(till, date, code))
        for name, date, code in MIDNIGHTS
    ]
    jobs += [("midnight of UTC", midnight_of_utc), ("end of a card", end_of_a_card)]
    return each_beside_the_others(case, jobs)


def through_midnight(till, date, code):
    """Uses up the day before, then the month on this day; what comes behind midnight?"""
    till.live_at(tokyo(date, 12) - 86_400)
    till.expect("the day before", DAY_MAX, APPROVED)
    till.expect("the day before, one more", 1, TOO_MANY)
    midnight = tokyo(date) + 86_400
    till.live_at(midnight - BEFORE_SECONDS)
    last = till.buy()
    codes = [last.answer[0], *till.codes(MONTH_MAX - DAY_MAX)]
    check(till.now() < midnight, "the machine was too slow to buy before midnight")
    expected = [APPROVED] * (MONTH_MAX - DAY_MAX) + [TOO_MANY]
    check(codes == expected, f"the last day: {codes}, expected {expected}")
    time.sleep(max(0, midnight + 0.1 - till.now()))
    till.expect("behind midnight", 1, code)
    if code == APPROVED:
        till.expect("the new month's first day", DAY_MAX - 1, APPROVED)
        till.expect("one more", 1, TOO_MANY)
    repeats = till.book.repeats
    till.exchange((till.acquirer.repeat_of(last), [last.identity]))
    check(till.book.repeats == repeats + 1, "the repeat from before midnight got another answer")
    till.stop()
    return code


def midnight_of_utc(till):
    nine = tokyo((2027, 6, 15), 9)
    till.live_at(nine - BEFORE_SECONDS)
    till.expect("before nine", DAY_MAX, APPROVED)
    check(till.now() < nine, "the machine was too slow to buy before nine")
    time.sleep(max(0, nine + 0.1 - till.now()))
    till.expect("behind nine, where UTC begins a day", 1, TOO_MANY)
    till.stop()
    return TOO_MANY


def end_of_a_card(till):
    end = tokyo((2032, 1, 1))
    till.live_at(end - BEFORE_SECONDS)
    first = till.buy(card=1).answer[0]
    check(till.now() < end, "the machine was too slow to buy before the end")
    time.sleep(max(0, end + 0.1 - till.now()))
    codes = [first, till.buy(card=1).answer[0]]
    check(codes == [APPROVED, EXPIRED], f"last and first second: {codes}")
    till.stop()
    return EXPIRED


def holds_expire(case):
    return each_beside_the_others(case, [("hold", hold_expires)])


def hold_expires(till):
    opened = tokyo((2027, 1, 20), 12)
    till.live_at(opened)
    first = till.buy(5_000)
    check((first.answer[0], till.held()) == (APPROVED, 5_000), "the purchase is not held")
    till.live_at(opened + 44 * 86_400)
    time.sleep(2)
    check(till.held() == 5_000, "the hold went before its time")
    till.live_at(opened + 46 * 86_400)
    until_released(till)
    till.live_at(opened + 86_400)
    check(till.held() == 0, "a clock that went back brought the hold back")
    capture = till.exchange(till.acquirer.capture(first, 5_000))
    check(capture.answer[0] == APPROVED, f"the late capture: {capture.answer}")
    till.stop()
    return {"released_at": till.reached}


def until_released(till):
    deadline = time.monotonic() + SECONDS_MAX
    while till.held():
        check(time.monotonic() < deadline, "the hold is still there after its time")
        time.sleep(0.1)


def clock_goes_back(case):
    return each_beside_the_others(case, [("back", goes_back)])


def goes_back(till):
    noon = tokyo((2027, 3, 10), 12)
    till.live_at(noon)
    till.expect("the day", DAY_MAX, APPROVED)
    reached = till.reached
    for days in (1, 31):
        till.live_at(noon - days * 86_400)
        till.expect(f"{days} days earlier", 1, TOO_MANY)
        check(till.look()["at"] >= reached, "the time of the journal fell")
    till.live_at(noon + 86_400)
    till.expect("the day after", MONTH_MAX - DAY_MAX, APPROVED)
    till.expect("one more in that month", 1, TOO_MANY)
    till.stop()
    return {"at": till.reached}


def live_jumps(case):
    reason = wall_clock.missing()
    if reason:
        raise Skipped(reason)
    clock = wall_clock.Clock(case.work)
    case.import_cards()
    case.settings = {"retention": {"expire_every_seconds": 1}}
    switch = case.start(before=clock.before)
    check(abs(at_of(switch) - time.time()) < 60, "the shim has moved the clock by itself")
    load = case.load(switch)
    reached = at_of(switch)
    hours = [36, 6, 40, -12, 1, 0] * (1 if oracle.is_short() else 4)
    for hour in hours:
        clock.jump(hour * 3_600)
        time.sleep(0.5)
        now = at_of(switch)
        check(now >= reached, f"the time of the journal fell by {reached - now} s")
        reached = now
    load.finish()
    check(reached - time.time() > 39 * 3_600, "the clock of the switch did not move")
    shown = switch.purses(Case.CARDS)
    digest = switch.state()["digest"]
    held = sum(purse[1] for view in shown for purse in view)
    check(held > 0, "nothing is held that could expire")
    switch.stop()
    audit = case.audit(True, shown)
    check(audit["digest"] == digest, "the replay comes to another state")
    clock.jump(0)
    switch = case.start(before=clock.before)
    clock.jump(48 * 86_400)
    deadline = time.monotonic() + SECONDS_MAX
    while sum(purse[1] for view in switch.purses(Case.CARDS) for purse in view):
        check(time.monotonic() < deadline, "holds are still there 48 days later")
        time.sleep(0.2)
    switch.state()
    switch.stop()
    return {"jumps": len(hours), "held_before": held, **audit}


def at_of(switch):
    text = switch.state()["at"].replace("Z", "+00:00")
    return datetime.datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    run_cases("clock", [midnights, holds_expire, clock_goes_back, live_jumps], __doc__)

#!/usr/bin/env python3
"""A soak: load and a fault every minute, and nothing may stay behind of either.

Steady traffic on a few connections while the clock of the switch runs fast, so that holds, stored
answers and history come of age and go: the state stops growing, and what grows after that leaks.
One fault after the other, a minute each: a storm of connections, connections cut in the middle of
their answers, a burst, garbage, half frames and TLS at a plain door, a changed programme with
SIGHUP, a checkpoint, a copy of the store, and a process that stands still for two seconds. Then:
  - resident memory in the last third of the time is at most 2 % above that of the first third, after
    a warm-up of a fifth, by which the allocator has seen everything. It rises and falls by half with
    each generation of the journal and each checkpoint; what stays is in the lowest of each minute,
    of which the median is taken;
  - without clients there are as many descriptors of each kind and as many threads as there were
    before the first fault, and no connection;
  - no answer was wrong, the switch stops with exit code 0, `store verify` finds nothing, and the
    journal has the last answers as they were given.

  tests/drills/soak.py [MINUTES] [--binary PATH] [--seed N]      60 minutes

SIGINT ends it early: what was lived until then is judged.

DRILL_SHORT=1: a minute and a quarter, a fault every 4 seconds; too short for a drift, so 200 MiB
are the bound. Needs a C compiler (for the clock). Exit code 0 passed, 1 failed, 77 skipped.
Evidence: target/drills/soak.json.
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path

import oracle
import wall_clock
from oracle import Acquirer, Book, Switch, Wrong, check, replay, run_to_end

CARDS = 200
CONNECTIONS = 6
# 2,400 messages a second: what is remembered, and so memory, follows the rate, so it is a steady one.
TICK_SECONDS, MESSAGES_A_TICK = 0.05, 20
# A machine that stands still for longer than this has not lived in the meantime.
STEP_SECONDS_MAX = 1.0
# How long what is over is kept: 46 days of the fast clock, the least that can be configured.
KEPT_DAYS = 46
LIVED_YEARS_MAX = 4
DRIFT_MAX = 0.02
# Seconds in which memory has been through more than one generation of the journal.
LOWEST_OF_SECONDS = 60
# Less than a minute is no time for a drift.
SHORT_MIB_MAX = 200
FILES_OF_GENERATION = 2
# A checkpoint is made by a thread that everything else on the machine comes before.
ADMIN_SECONDS_MAX = 600
STORM = 300
REMEMBERED = 20_000
LAST_ANSWERS = 2_000
QUIET_SECONDS = 12


class ShortMemory(Book):
    """A book of the newest requests only: a soak has more of them than memory."""

    def __init__(self, path):
        super().__init__(path)
        self.file.close()
        self.file = open(os.devnull, "w")
        self.total = 0

    def sent(self, request):
        super().sent(request)
        with self.lock:
            while len(self.requests) > REMEMBERED:
                del self.requests[next(iter(self.requests))]

    def answered(self, mti, elements):
        identity = (mti[1], elements.get(7), elements.get(11))
        self.total += 1
        return super().answered(mti, elements) if identity in self.requests else None


class Steady(Acquirer):
    """Traffic with pauses, on a connection that is opened again when it is cut."""

    def live(self, switch, until):
        self.cut, self.lost = threading.Event(), 0
        while not until.is_set():
            try:
                self.talk(switch.connect(), until)
            except OSError:
                self.lost += 1
                until.wait(0.1)

    def talk(self, stream, until):
        buffer, due = bytearray(), time.monotonic()
        with stream:
            while not until.wait(max(0, due - time.monotonic())):
                # What could not be sent in time is not sent later.
                due = max(due + TICK_SECONDS, time.monotonic() - STEP_SECONDS_MAX)
                sent = [self.compose() for _ in range(MESSAGES_A_TICK)]
                stream.sendall(b"".join(wire for wire, _ in sent))
                if self.cut.is_set():
                    self.cut.clear()
                    reset(stream)
                    return
                waiting = sum(len(expected) for _, expected in sent)
                while waiting:
                    waiting -= self.read_some(stream, buffer)


def reset(stream):
    """Leaves without a word, whatever is under way."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()


class Watch:
    """Seconds that went by, without those in which the whole machine stood still."""

    def __init__(self, seconds=0.0):
        self.total, self.seen = seconds, time.monotonic()

    def seconds(self):
        now = time.monotonic()
        self.total += min(now - self.seen, STEP_SECONDS_MAX)
        self.seen = now
        return self.total


class Soak:
    """One switch with everything that is done to it."""

    def __init__(self, binary, work, seconds, seed):
        self.binary, self.work, self.seconds = binary, Path(work), seconds
        self.random = random.Random(seed)
        self.store, self.backups = self.work / "store", self.work / "backups"
        self.programmes = self.work / "programmes"
        self.backups.mkdir()
        shutil.copytree(oracle.ROOT / "spec/programme", self.programmes)
        self.cards = oracle.test_cards(CARDS)
        self.book = ShortMemory(self.work / "book.jsonl")
        self.clock = wall_clock.Clock(self.work)
        self.until, self.threads, self.wrong = threading.Event(), [], []
        self.lived, self.planned = 0.0, seconds
        self.samples, self.faults, self.copies = [], {}, 0
        oracle.import_cards(binary, self.store, work, self.cards)
        self.switch = Switch(binary, self.store, work, self.clock.before, self.settings())
        self.switch.wait_ready()
        self.pid = self.switch.process.pid

    def settings(self):
        return {
            "programmes_dir": str(self.programmes),
            "backups_dir": str(self.backups),
            "retention": {
                "answers_retention_hours": 720,
                "tombstone_retention_hours": 720,
                "holds_retention_days": KEPT_DAYS,
                "expire_every_seconds": 1,
            },
            "checkpoint": {"every_records": 50_000, "keep_history_days": 2 * KEPT_DAYS},
            "log": {"file": True, "file_mib_max": 4, "files_max": 2},
        }

    # What goes on all the time

    def begin(self):
        seed = self.random.random()
        self.clients = [Steady(self.book, self.cards, seed, n) for n in range(CONNECTIONS)]
        jobs = [lambda client=one: client.live(self.switch, self.until) for one in self.clients]
        for job in [*jobs, self.run_clock]:
            self.threads.append(threading.Thread(target=self.watched, args=(job,)))
            self.threads[-1].start()

    def watched(self, job):
        try:
            job()
        except Exception as error:  # Told by `end`.
            self.wrong.append(f"{type(error).__name__}: {error}")

    def run_clock(self):
        """46 days go by in some ten seconds to two minutes, four years at most in all."""
        period = max(10, self.planned * KEPT_DAYS / (LIVED_YEARS_MAX * 365))
        speed = KEPT_DAYS * 86_400 / period
        watch = Watch(self.lived)
        while not self.until.wait(0.05):
            self.lived = watch.seconds()
            self.clock.jump(self.lived * speed)

    def end(self):
        self.until.set()
        for thread in self.threads:
            thread.join()
        self.threads = []
        self.wrong += self.book.mistakes
        check(not self.wrong, "; ".join(self.wrong[:3]))

    def stop_early(self):
        """What was lived until now is judged."""
        self.seconds = 0

    def sample(self):
        status = Path(f"/proc/{self.pid}/status").read_text()
        rss = int(status.split("VmRSS:")[1].split()[0]) / 1024
        threads = int(status.split("Threads:")[1].split()[0])
        return rss, len(os.listdir(f"/proc/{self.pid}/fd")), threads

    # Faults

    def post(self, path, body=None):
        connection = self.switch.admin(ADMIN_SECONDS_MAX)
        kind = {"Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body or {}), kind)
        response = connection.getresponse()
        said = response.read()
        connection.close()
        check(response.status == 200, f"POST {path}: {response.status} {said[:200]}")

    def storm(self):
        streams = []
        for _ in range(STORM):
            streams.append(self.switch.connect())
            if len(streams) > 50:
                streams.pop(0).close()
        for stream in streams:
            reset(stream)

    def cut_connections(self):
        for client in self.clients:
            client.cut.set()

    def burst(self):
        """More at once than a batch that the writer makes durable by itself."""
        acquirer = Acquirer(self.book, self.cards, self.random.random(), CONNECTIONS)
        sent = [acquirer.purchase(number % CARDS, 1) for number in range(400)]
        buffer = bytearray()
        with self.switch.connect() as stream:
            stream.sendall(b"".join(wire for wire, _ in sent))
            waiting = len(sent)
            while waiting:
                waiting -= acquirer.read_some(stream, buffer)

    def garbage(self):
        noise = [
            self.random.randbytes(300),
            b"\xff\xf0" + bytes(64),
            b"\x00\xc8" + b"0100",
            bytes.fromhex("16030100c8010000c40303") + self.random.randbytes(194),
        ]
        for number in range(40):
            with self.switch.connect() as stream:
                stream.sendall(noise[number % len(noise)])

    def reload(self):
        file = self.programmes / "prepaid-jp.toml"
        file.write_text(file.read_text() + "# changed\n")
        self.switch.signal(signal.SIGHUP)
        time.sleep(0.2)
        self.post("/v1/programmes/reload")

    def checkpoint(self):
        self.post("/v1/checkpoint")

    def backup(self):
        self.copies += 1
        to = self.backups / str(self.copies)
        self.post("/v1/backup", {"to": str(to)})
        check((to / "MANIFEST").is_file(), "the copy is not whole")
        shutil.rmtree(to)

    def freeze(self):
        self.switch.signal(signal.SIGSTOP)
        time.sleep(2)
        self.switch.signal(signal.SIGCONT)

    FAULTS = [storm, cut_connections, burst, garbage, reload, checkpoint, backup, freeze]

    # The run

    def run(self, period):
        before = self.quiet_after_a_little_of_everything()
        self.begin()
        watch, number = Watch(), 0
        while (passed := watch.seconds()) < self.seconds:
            if passed >= number * period:
                fault = self.FAULTS[number % len(self.FAULTS)]
                fault(self)
                self.faults[fault.__name__] = self.faults.get(fault.__name__, 0) + 1
                number += 1
                if not oracle.is_short() or number % 5 == 0:
                    self.tell(passed)
            time.sleep(0.5)
            self.samples.append((round(watch.seconds(), 1), *self.sample()))
        self.lived_minutes = round(watch.total / 60, 1)
        state = self.switch.state()
        self.end()
        return self.figures(before, self.quiet(), state)

    def quiet_after_a_little_of_everything(self):
        """What is there without clients, once each thing has happened a first time."""
        self.begin()
        time.sleep(1)
        for fault in self.FAULTS:
            fault(self)
        self.end()
        self.until.clear()
        return self.quiet()

    def quiet(self):
        """Descriptors by kind and threads by name, without clients and after what idles is gone."""
        deadline = time.monotonic() + QUIET_SECONDS
        while self.switch.get("/healthz")["counters"]["connections_open"]:
            check(time.monotonic() < deadline, "connections are open that nobody has")
            time.sleep(0.1)
        time.sleep(QUIET_SECONDS)
        kinds, names = {}, {}
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            kind = kind_of(os.readlink(entry), self.store)
            kinds[kind] = kinds.get(kind, 0) + 1
        for entry in Path(f"/proc/{self.pid}/task").iterdir():
            name = (entry / "comm").read_text().strip()
            names[name] = names.get(name, 0) + 1
        return kinds, names

    def tell(self, passed):
        rss, descriptors, threads = self.sample()
        print(f"{passed:6.0f} s {self.book.total:9} answers  {rss:7.1f} MiB  "
              f"{descriptors} descriptors  {threads} threads", flush=True)  # fmt: skip

    def figures(self, before, after, state):
        first, last = self.windows()
        drift = last / first - 1
        print(f"resident memory {first:.1f} MiB after the warm-up, {last:.1f} at the end, in minutes "
              f"{' '.join(f'{lowest:.0f}' for lowest in self.lowest)}: "
              f"{drift:+.2%}; the clock ran to {state['at']}")  # fmt: skip
        print(f"descriptors {before[0]} before, {after[0]} after")
        print(f"threads     {before[1]} before, {after[1]} after")
        # Of the journal there may be the next generation too, created ahead of its time.
        allowed = {**before[0], "j": FILES_OF_GENERATION * 2}
        grown = [f"{kind}: {allowed.get(kind, 0)} allowed, {count} there"
                 for kind, count in after[0].items() if count > allowed.get(kind, 0)]  # fmt: skip
        check(not grown, f"descriptors were left behind: {grown}")
        left = sum(after[1].values()) - sum(before[1].values())
        check(left <= 0, f"{left} threads were left behind: {after[1]}")
        if oracle.is_short():
            check(last <= SHORT_MIB_MAX, f"{last:.0f} MiB, expected {SHORT_MIB_MAX} at most")
        else:
            check(drift <= DRIFT_MAX, f"resident memory drifts by {drift:.2%}")
        return {
            "answers": self.book.total,
            "minutes": self.lived_minutes,
            "rss_mib": [round(first, 2), round(last, 2)],
            "lowest_mib": [round(lowest, 1) for lowest in self.lowest],
            "drift": round(drift, 4),
            "faults": self.faults,
            "connections_lost": sum(client.lost for client in self.clients),
            "lived_until": state["at"],
            "descriptors": [before[0], after[0]],
            "threads": [before[1], after[1]],
            "samples": self.samples[:: max(1, len(self.samples) // 120)],
        }

    def windows(self):
        """Median of what is left of memory in each minute, of the first third after the warm-up
        and of the last."""
        lowest = {}
        for passed, rss, *_ in self.samples:
            minute = int(passed // LOWEST_OF_SECONDS)
            lowest[minute] = min(rss, lowest.get(minute, rss))
        self.lowest = list(lowest.values())
        judged = self.lowest[len(self.lowest) // 5 :]
        third = max(1, len(judged) // 3)
        return statistics.median(judged[:third]), statistics.median(judged[-third:])

    def books(self):
        digest = self.switch.state()["digest"]
        self.switch.stop()
        check(not self.switch.errors_path.read_text(), f"it complains: {self.switch.complaint()}")
        code, said, complaint = run_to_end(
            self.binary, "store", "verify", "--data", self.store, "--json"
        )
        check(code == 0, f"store verify: exit code {code}: {complaint}")
        check(json.loads(said)["digest"] == digest, "store verify comes to another state")
        rows, _ = replay(self.binary, self.store)
        rows = [row for row in rows if row["stored"]]
        decided = {(row["mti"][1], row["transmitted"], row["stan"]): row for row in rows}
        answered = [r for r in self.book.requests.values() if r.answer][-LAST_ANSWERS:]
        for request in answered:
            row = decided.get(request.identity)
            check(row, f"LOST: {request.identity}")
            check((row["code"], row["approval"]) == request.answer, f"changed: {request.identity}")
        return {"last_answers": len(answered), "digest": digest}


def kind_of(target, store):
    """`socket`, `anon_inode`, `j`, `c`, `log`, ... of what a descriptor stands for."""
    if target.startswith(str(store) + "/"):
        return Path(target).relative_to(store).parts[0]
    return target.split(":")[0].split("/")[-1] or target


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("minutes", type=float, nargs="?", default=60)
    parser.add_argument("--binary", help="the switch [target/release/cardswitch]")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    binary = oracle.binary_of(arguments.binary)
    reason = wall_clock.missing()
    if reason:
        print(f"SKIPPED: {reason}. Nothing was tested.")
        sys.exit(77)
    seconds, period = (40, 4) if oracle.is_short() else (arguments.minutes * 60, 60)
    print(f"soak: {seconds:.0f} s, a fault every {period} s, seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as directory:
        soak = Soak(binary, directory, seconds, arguments.seed)
        signal.signal(signal.SIGINT, lambda *_: soak.stop_early())
        try:
            evidence = {"passed": 1, "failed": 0, **soak.run(period), **soak.books()}
        except (Wrong, OSError) as wrong:
            soak.until.set()
            print(f"FAILED {wrong}")
            evidence = {"passed": 0, "failed": 1, "wrong": str(wrong), "samples": soak.samples}
        finally:
            if soak.switch.process.poll() is None:
                soak.switch.kill()
    evidence = {"seed": arguments.seed, **evidence}
    path = oracle.write_evidence("soak", binary, evidence)
    print(f"{evidence['passed']} passed, {evidence['failed']} failed (evidence in {path})")
    sys.exit(evidence["failed"])


if __name__ == "__main__":
    main()

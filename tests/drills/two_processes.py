#!/usr/bin/env python3
"""Two processes on one store: the second is refused, whatever it is, and the first goes on.

  second process       serve, replay and store verify on a store that a switch has open under load
                       end with exit code 75 and a clear sentence, import that cannot reach the
                       switch with 69; none of its clients notices, and each record was answered
  started at once      of several switches started in the same moment one gets the store, the others
                       end with exit code 75; it is free again when the one is killed
  held from elsewhere  a switch is refused while another program holds the lock; then it starts

  tests/drills/two_processes.py [--binary PATH] [--seed N] [--only CASE]

Exit code 0 passed, 1 failed. Evidence: target/drills/two_processes.json.
"""

import fcntl
import time

import oracle
from cases import clear, run_cases
from oracle import Switch, check, run_to_end

RIVALS = 5


def second_process(case):
    case.grow(0.1)
    switch = case.start()
    load = case.load(switch, "first")
    said, waited = {}, []
    file = case.work / "cards.toml"
    # Import asks a running switch where it finds one; here it is pointed at none.
    nowhere = ["--admin", "127.0.0.1:1"]
    rivals = [
        ["serve", "--listen", "127.0.0.1:0,be2,iso87-ascii", "--admin", "127.0.0.1:0"],
        ["replay"],
        ["import", file, *nowhere],
        ["store", "verify"],
    ]
    holder = [str(case.store), f"process {switch.process.pid}", "stop it first"]
    words = {"serve": holder, "replay": holder, "import": ["open in another process"]}
    words["store verify"] = [str(case.store), "stop it"]
    for number in range(2 if oracle.is_short() else 10):
        for command in rivals:
            began = time.monotonic()
            code, _, complaint = run_to_end(case.binary, *command, "--data", case.store)
            waited.append(time.monotonic() - began)
            name = " ".join(map(str, command[:2] if command[0] == "store" else command[:1]))
            expected = 69 if name == "import" else 75
            check(code == expected, f"{name}: exit code {code}, expected {expected}: {complaint}")
            clear(complaint, *words[name])
            said[name] = complaint
    load.finish()
    check(not case.book.unanswered(), "a client of the first was not answered")
    shown = switch.purses(case.CARDS)
    switch.state()
    switch.stop()
    check(not switch.errors_path.read_text(), f"the first complains: {switch.complaint()}")
    return {"said": said, "longest_s": round(max(waited), 2), **case.audit(True, shown)}


def started_at_once(case):
    case.grow(0.1)
    rounds = 3 if oracle.is_short() else 20
    for number in range(rounds):
        works = [case.work / f"rival-{number}-{n}" for n in range(RIVALS)]
        for work in works:
            work.mkdir()
        rivals = [Switch(case.binary, case.store, work, settings=case.settings) for work in works]
        for rival in rivals:
            rival.await_start()
        has_it = [rival for rival in rivals if rival.admin_port is not None]
        check(len(has_it) == 1, f"{len(has_it)} of {RIVALS} have the store")
        for rival in rivals:
            if rival is not has_it[0]:
                code = rival.wait()
                check(code == 75, f"exit code {code}, expected 75: {rival.complaint()}")
                clear(rival.complaint(), str(case.store), "stop it first")
        case.running = has_it[0]
        load = case.load(has_it[0], number)
        time.sleep(0.1)
        load.finish()
        has_it[0].kill() if number % 2 else has_it[0].stop()
    return {"rounds": rounds, **case.audit(all_answered=True)}


def held_from_elsewhere(case):
    case.grow(0.1)
    with open(case.store / "LOCK", "r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        second = Switch(case.binary, case.store, case.work)
        code = second.wait()
        check(code == 75, f"exit code {code}, expected 75: {second.complaint()}")
        said = second.complaint()
        clear(said, str(case.store), "stop it first")
    switch = case.start()
    switch.state()
    switch.stop()
    return {"said": said, **case.audit(all_answered=True)}


if __name__ == "__main__":
    run_cases("two_processes", [second_process, started_at_once, held_from_elsewhere], __doc__)

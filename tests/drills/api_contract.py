#!/usr/bin/env python3
"""The operators' API against its own document: generated requests, good and bad, at a live switch.

schemathesis (pip install schemathesis) reads /v1/openapi.json and makes requests from it; every
answer must be one that the document names, of the media type and shape that it says, and none may
be a server error. At least 5,000 requests, 1,000 with DRILL_SHORT=1. Afterwards the money must add
up, and the journal replays to the same digest.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import running
from wire import Wrong, check

SHORT = os.environ.get("DRILL_SHORT") == "1"
CALLS_MIN = 1_000 if SHORT else 5_000
EXAMPLES = 15 if SHORT else 130
SEED = os.environ.get("DRILL_SEED", "20261122")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance"
CHECKS += ",response_schema_conformance"
SECONDS_MAX = 500 if SHORT else 3_000


def schemathesis():
    """How to call it; None where it is not installed."""
    beside = Path(sys.executable).parent / "schemathesis"
    for command in [str(beside), "schemathesis"]:
        try:
            subprocess.run([command, "--version"], capture_output=True, check=True)
            return command
        except (OSError, subprocess.CalledProcessError):
            continue
    return None


def called(command, switch, token, work):
    url = f"http://127.0.0.1:{switch.admin_port}/v1/openapi.json"
    arguments = [command, "run", url, "--header", f"Authorization: Bearer {token}"]
    arguments += ["--checks", CHECKS, "--phases", "coverage,fuzzing", "--mode", "all"]
    arguments += ["--max-examples", str(EXAMPLES), "--seed", SEED, "--workers", "1"]
    # A live stream has no end.
    arguments += ["--exclude-path", "/v1/activity/live"]
    arguments += ["--continue-on-failure", "--no-color", "--suppress-health-check", "all"]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "api_requests",
        "PYTHONPATH": str(Path(__file__).parent),
    }
    return subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
        env=environment,
        cwd=work,
    )


def main():
    command = schemathesis()
    if command is None:
        print("skipped: schemathesis is not installed (pip install schemathesis)")
        return 77
    binary = Path(os.environ.get("DRILL_BINARY", running.BINARY))
    with tempfile.TemporaryDirectory() as work:
        store = Path(work) / "store"
        switch = running.Switch(binary, store, work, arguments=["--demo"])
        try:
            switch.wait_ready()
            token = (store / "access" / "admin.token").read_text().strip()
            done = called(command, switch, token, work)
            told = done.stdout
            found = re.search(r"([\d,]+) generated", told)
            check(found, f"schemathesis said no number of calls: {told[-2000:]}{done.stderr[-500:]}")
            calls = int(found[1].replace(",", ""))
            if done.returncode != 0:
                print(told[-12_000:])
            check(done.returncode == 0, f"the answers to {calls} requests are not as documented")
            check(calls >= CALLS_MIN, f"{calls} requests, expected {CALLS_MIN} at least")
            state = switch.state()
            switch.stop()
            replayed = subprocess.run(
                [str(binary), "replay", "--json", "--data", str(store)],
                capture_output=True,
                text=True,
                check=True,
            )
            digest = json.loads(replayed.stdout)["digest"]
            check(digest == state["digest"], "the journal replays to another digest")
        finally:
            if switch.process.poll() is None:
                switch.kill()
    print(f"ok: {calls} generated requests, every answer as documented, none a server error")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Wrong as wrong:
        print(f"FAILED: {wrong}")
        sys.exit(1)

#!/usr/bin/env python3
"""Prometheus' own tool reads what the switch exposes, and the alert rules.

Starts the switch with the demo cards, plays the first day against it, and hands `GET /metrics` to
`promtool check metrics`; then `spec/metrics/alerts.yml` to `promtool check rules`.

  tests/drills/promtool.py [BINARY]

Needs promtool (Debian package prometheus). Exit code 0 passed, 1 failed, 77 skipped.
"""

import http.client
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from running import ROOT, Switch, binary_of
from wire import Wrong, check


def promtool(*arguments, text=None):
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True)
    # Exit code 3 of `check metrics` is advice on names; 1 is a page that cannot be read.
    check(done.returncode in (0, 3), f"promtool {arguments}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def main():
    binary = binary_of(sys.argv[1] if len(sys.argv) > 1 else None)
    if shutil.which("promtool") is None:
        print("SKIPPED: no promtool (Debian package prometheus)")
        return 77
    print(promtool("check", "rules", str(ROOT / "spec/metrics/alerts.yml")).strip())
    with tempfile.TemporaryDirectory() as work:
        switch = Switch(binary, Path(work) / "store", work, arguments=["--demo"]).wait_ready()
        scenario = ROOT / "fixtures/scenarios/first-day.toml"
        command = [binary, "acquirer", "run", scenario, "--connect", f"127.0.0.1:{switch.port}"]
        command += ["--admin", f"http://127.0.0.1:{switch.admin_port}"]
        token = switch.admin().token
        environment = {**os.environ, "CARDSWITCH_TOKEN": token}
        played = subprocess.run(command, capture_output=True, text=True, env=environment)
        check(played.returncode == 0, f"the first day: {played.stdout[-500:]}{played.stderr}")
        connection = http.client.HTTPConnection("127.0.0.1", switch.admin_port)
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        page = answer.read().decode()
        check(answer.status == 200, f"/metrics: {answer.status}")
        advice = promtool("check", "metrics", text=page).strip()
        rows = [row for row in page.splitlines() if not row.startswith("#")]
        print(f"promtool read {len(rows)} rows; advice: {advice or 'none'}")
        check(not advice, "promtool has advice")
        switch.stop()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Wrong as wrong:
        print(f"FAILED: {wrong}")
        sys.exit(1)

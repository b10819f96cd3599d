#!/usr/bin/env python3
"""A million decisions as Parquet, read back by DuckDB: every one of them, matching totals, flat memory.

Loads a switch with the demo cards until its journal has as many decisions as asked, stops it, and
exports the store in every format with the memory of the exporting process watched. DuckDB reads the
Parquet files: counts and sums by outcome and reason must be those of `replay --decisions`, and the
postings must sum to zero in every currency.

  tests/drills/export.py [--binary PATH] [--decisions N]

Needs the package duckdb. Exit code 0 passed, 1 failed, 77 skipped. Evidence: target/drills/export.json.
"""

import argparse
import collections
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from running import ROOT, Switch, binary_of, is_short, write_evidence
from wire import Wrong, check

try:
    import duckdb
except ImportError:
    print("SKIPPED: pip install duckdb")
    sys.exit(77)

FORMATS = ["parquet", "csv", "jsonl"]
LOAD_SECONDS = 5


def resident_kib(pid):
    """Memory of a process, or 0 when it has ended."""
    try:
        rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(row.split()[1]) for row in rows if row.startswith("VmRSS:")), 0)


def export(binary, store, to, form):
    """Runs one export; its seconds and the memory that it had, sample by sample."""
    command = [str(binary), "export", "--format", form, "--data", str(store), "--to", str(to)]
    began, samples = time.monotonic(), []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ended = threading.Event()

    def watch():
        while not ended.wait(0.05):
            samples.append(resident_kib(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    said, complaint = process.communicate(timeout=540)
    ended.set()
    watcher.join()
    check(process.returncode == 0, f"export {form}: {complaint}")
    return time.monotonic() - began, [sample for sample in samples if sample]


def expected(binary, store):
    """Counts and sums of the decisions by reason and code, from another command."""
    command = [str(binary), "replay", "--data", str(store), "--decisions", "--json"]
    totals, rows = collections.Counter(), 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            row = json.loads(line)
            if "reason" in row:
                rows += 1
                totals[row["reason"], row["code"], row["currency"]] += row["minor"]
    check(process.returncode == 0, "replay failed")
    return rows, totals


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary")
    parser.add_argument("--decisions", type=int, default=20_000 if is_short() else 1_000_000)
    arguments = parser.parse_args()
    binary = binary_of(arguments.binary)
    with tempfile.TemporaryDirectory() as work:
        store = Path(work) / "store"
        switch = Switch(binary, store, work, arguments=["--demo"]).wait_ready()
        while switch.get("/healthz")["counters"]["records"] < arguments.decisions:
            command = [binary, "acquirer", "load", "--connect", f"127.0.0.1:{switch.port}"]
            command += ["--spec", "iso87-ascii", "--connections", "4", "--window", "32", "--duration", f"{LOAD_SECONDS}s"]
            loaded = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True)
            check(loaded.returncode == 0, f"load: {loaded.stderr[-500:]}")
        switch.stop()
        rows, totals = expected(binary, store)
        evidence = {"decisions": rows}
        for form in FORMATS:
            seconds, memory = export(binary, store, Path(work) / "out", form)
            third = max(1, len(memory) // 3)
            begin, end = max(memory[:third], default=0), max(memory[-third:], default=0)
            evidence[form] = {"seconds": round(seconds, 1), "begin_kib": begin, "end_kib": end}
            print(f"{form}: {rows} decisions in {seconds:.1f} s, "
                  f"memory {begin // 1024} MiB in the first third, {end // 1024} in the last")
            if len(memory) > 20:
                check(end < begin * 1.5 + 16_384, f"{form}: memory grew from {begin} to {end} KiB")
        out = Path(work) / "out"
        for form, read in [("parquet", "read_parquet"), ("csv", "read_csv_auto"),
                           ("jsonl", "read_json_auto")]:
            table = f"{read}('{out}/decisions.{form}')"
            query = f"SELECT reason, code, currency, count(*), sum(amount_minor) FROM {table} GROUP BY ALL"
            found = duckdb.sql(query).fetchall()
            check(sum(row[3] for row in found) == rows, f"{form}: {found}, expected {rows} rows")
            if form == "parquet":
                sums = {tuple(row[:3]): int(row[4]) for row in found}
                check(sums == dict(totals), f"sums of DuckDB {sums}, of replay {dict(totals)}")
            postings = f"{read}('{out}/postings.{form}')"
            query = f"SELECT currency, count(*), sum(minor) FROM {postings} GROUP BY ALL"
            sums = duckdb.sql(query).fetchall()
            check(all(row[2] == 0 and row[0] for row in sums), f"{form}: postings {sums}")
            print(f"{form}: DuckDB finds {rows} decisions, postings {sums}")
        evidence["duckdb"] = duckdb.__version__
        print(write_evidence("export", binary, evidence))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Wrong as wrong:
        print(f"FAILED: {wrong}")
        sys.exit(1)

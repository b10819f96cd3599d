"""The switch as a process, its other commands, and the evidence that a drill leaves.

Python 3 standard library only; not a drill by itself, and therefore not executable.
"""

import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

from wire import Wrong, check

ROOT = Path(__file__).resolve().parents[2]
BINARY = ROOT / "target" / "release" / "cardswitch"
EVIDENCE = ROOT / "target" / "drills"
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30
STEP_SECONDS = 0.25
SLOW_DISK_MICROSECONDS = 15_000
ANSWER_SECONDS_MAX = 20


def slow_disk():
    """What to put before a command so that each write and flush waits before it begins.

    Between an answer and the write it should have waited for lie microseconds, which a kill hits
    hardly ever; with a slow disk it is hit nearly always. None where the system forbids tracing.
    """
    delay = f"inject=pwrite64,fdatasync:delay_enter={SLOW_DISK_MICROSECONDS}"
    prefix = ["strace", "-f", "--seccomp-bpf", "-o", "/dev/null"]
    prefix += ["-e", "trace=pwrite64,fdatasync", "-e", delay]
    try:
        probe = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return prefix if probe.returncode == 0 else None


# Small generations, so that kills and cuts fall into rotations too.
SETTINGS = {"log": {"file": False, "stdout": "off"}, "journal": {"rotate_mib": 16}}


def write_config(path, settings):
    """The drills' settings with those of one of them over it: keys, tables, and lists of tables."""

    def rows(table):
        return [f"{name} = {json.dumps(value)}" for name, value in table.items()]

    lists = {name: value for name, value in settings.items() if isinstance(value, list)}
    tables = {name: value for name, value in settings.items() if isinstance(value, dict)}
    lines = rows({name: settings[name] for name in settings if name not in {*lists, *tables}})
    for name in sorted({*SETTINGS, *tables}):
        lines += [f"[{name}]", *rows({**SETTINGS.get(name, {}), **tables.get(name, {})})]
    for name, those in lists.items():
        for table in those:
            lines += [f"[[{name}]]", *rows(table)]
    Path(path).write_text("\n".join(lines) + "\n")


def waited(happened, seconds):
    """Whether it happened in time; a machine that stands still in between takes only one step."""
    return any(happened(STEP_SECONDS) for _ in range(int(seconds / STEP_SECONDS)))


class Operator(http.client.HTTPConnection):
    """A connection to the operators' API that shows a token with every request."""

    def __init__(self, host, port, token, seconds=30):
        super().__init__(host, port, timeout=seconds)
        self.token = token

    def request(self, method, url, body=None, headers=None, **more):
        headers = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        super().request(method, url, body, headers, **more)


class Switch:
    """One running `cardswitch serve` on free ports of loopback, `before` its command a tracer."""

    def __init__(self, binary, store, work, before=(), settings=None, arguments=()):
        self.errors_path = Path(work) / "switch.err"
        self.store = Path(store)
        config = Path(work) / "switch.toml"
        write_config(config, settings or {})
        command = [str(binary), "serve", "--config", str(config), "--data", str(store)]
        command += ["--listen", "127.0.0.1:0,be2,iso87-ascii", "--admin", "127.0.0.1:0"]
        command += arguments
        self.errors = open(self.errors_path, "w+")
        self.process = subprocess.Popen(
            [*before, *command], stdout=subprocess.PIPE, stderr=self.errors, text=True
        )
        # `env` becomes the switch, a tracer stands before it.
        self.traced = bool(before) and before[0] != "env"
        self.said = []
        self.port = self.admin_port = None
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.ready = threading.Event()
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.said.append(line.strip())
            words = line.split()
            if words[:1] == ["listening"]:
                self.port = int(words[1].rsplit(":", 1)[1])
            elif words[:1] == ["admin"]:
                self.admin_port = int(words[1].split("/")[2].rsplit(":", 1)[1])
            elif words[:1] == ["next"]:
                self.ready.set()
        self.ready.set()

    def wait_ready(self):
        self.await_start()
        if self.port is None or self.admin_port is None or self.process.poll() is not None:
            # Its output ends a moment before it does.
            self._ended(1)
            code = self.process.poll()
            raise Wrong(f"the switch did not start (exit code {code}): {self.complaint()}")
        return self

    def await_start(self, seconds=START_SECONDS_MAX):
        """Until it has started or ended, or for so long."""
        waited(self.ready.wait, seconds)

    def _ended(self, seconds):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.poll() is not None

    def complaint(self):
        return self.errors_path.read_text().strip()

    def signal(self, number):
        """To the switch itself, also when a tracer stands before it."""
        pid = self.process.pid
        if self.traced:
            pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        os.kill(pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.reader.join()
        self.errors.close()

    def wait(self, seconds=STOP_SECONDS_MAX):
        """The exit code, or a complaint when it does not end."""
        if not waited(self._ended, seconds):
            self.kill()
            raise Wrong(f"the switch was still running after {seconds} s")
        self.reader.join()
        self.errors.close()
        return self.process.returncode

    def stop(self):
        self.signal(signal.SIGTERM)
        code = self.wait()
        check(code == 0, f"exit code {code} after SIGTERM, expected 0: {self.complaint()}")

    def get(self, path, connection=None):
        connection = connection or self.admin()
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        check(response.status == 200, f"GET {path}: status {response.status}")
        return json.loads(body)

    def admin(self, seconds=30):
        """For requests that are answered within so many seconds."""
        token = (self.store / "access" / "admin.token").read_text().strip()
        return Operator("127.0.0.1", self.admin_port, token, seconds)

    def state(self):
        state = self.get("/v1/state")
        check(state["conserved"], f"money is not conserved: {state['fault']}")
        return state

    def purses(self, accounts):
        """Balance and held amount of every purse of the first accounts."""
        connection = self.admin()
        views = [self.get(f"/v1/accounts/{n}", connection) for n in range(1, accounts + 1)]
        connection.close()
        return [[(purse["balance"], purse["held"]) for purse in view["purses"]] for view in views]

    def connect(self, receive_bytes=None):
        stream = socket.socket()
        if receive_bytes:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        stream.settimeout(ANSWER_SECONDS_MAX)
        stream.connect(("127.0.0.1", self.port))
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream


def run_to_end(binary, *arguments):
    """A command that ends by itself: exit code, standard output, standard error."""
    ended = subprocess.run(
        [str(binary), *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    return ended.returncode, ended.stdout, ended.stderr.strip()


def replay(binary, store):
    """The decisions of a store in order, and the summary of its replay."""
    code, said, complaint = run_to_end(
        binary, "replay", "--data", store, "--decisions", "--json"
    )
    check(code == 0, f"replay ended with {code}: {complaint or said[-300:]}")
    rows = [json.loads(line) for line in said.splitlines()]
    summary = rows.pop()
    check(summary["conserved"], f"replay: money is not conserved: {summary['fault']}")
    return rows, summary


# Evidence ------------------------------------------------------------------------------------


def commit():
    command = ["git", "rev-parse", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def digest_of(binary):
    return hashlib.sha256(Path(binary).read_bytes()).hexdigest()


def write_evidence(name, binary, content):
    EVIDENCE.mkdir(parents=True, exist_ok=True)
    path = EVIDENCE / f"{name}.json"
    about = {"drill": name, "commit": commit(), "binary_sha256": digest_of(binary)}
    content = {**about, "kernel": os.uname().release, **content}
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path.relative_to(ROOT)


def is_short():
    return os.environ.get("DRILL_SHORT") == "1"


def binary_of(argument):
    binary = Path(argument or os.environ.get("DRILL_BINARY") or BINARY)
    if not binary.is_file():
        raise SystemExit(f"{binary} is missing: cargo build --release")
    return binary.resolve()

"""What the drills of the whole switch share; it shares no code with the switch.

Three parts: messages written and read by hand (ISO 8583:1987 in ASCII behind a two-byte length),
the switch as a process, and the oracle: a book of what was sent and answered, and a second model of
a prepaid-jp account that is fed with the journal's decisions in their order.

Python 3 standard library only. Not a drill by itself, and therefore not executable.
"""

import hashlib
import http.client
import json
import os
import random
import signal
import socket
import struct
import subprocess
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = ROOT / "target" / "release" / "cardswitch"
EVIDENCE = ROOT / "target" / "drills"
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30
SLOW_DISK_MICROSECONDS = 15_000
ANSWER_SECONDS_MAX = 20


class Wrong(Exception):
    """The switch did something it must not do."""


def check(fact, sentence):
    if not fact:
        raise Wrong(sentence)


# Messages ------------------------------------------------------------------------------------

# Element: digits of its length prefix (0: fixed), length when fixed.
LAYOUT = {
    2: (2, 0), 3: (0, 6), 4: (0, 12), 7: (0, 10), 11: (0, 6), 12: (0, 6), 13: (0, 4), 14: (0, 4),
    18: (0, 4), 22: (0, 3), 25: (0, 2), 32: (2, 0), 33: (2, 0), 37: (0, 12), 38: (0, 6),
    39: (0, 2), 41: (0, 8), 42: (0, 15), 43: (0, 40), 49: (0, 3), 54: (3, 0), 70: (0, 3),
    90: (0, 42), 95: (0, 42),
}  # fmt: skip


def write_message(mti, elements):
    bits, body = 0, []
    for number in sorted(elements):
        prefix, length = LAYOUT[number]
        value = elements[number]
        if prefix:
            value = f"{len(value):0{prefix}}{value}"
        elif len(value) != length:
            raise ValueError(f"element {number}: {len(value)} characters, expected {length}")
        bits |= 1 << (128 - number)
        body.append(value)
    if any(number > 64 for number in elements):
        bitmap = f"{bits | 1 << 127:032X}"
    else:
        bitmap = f"{bits >> 64:016X}"
    message = (mti + bitmap + "".join(body)).encode("ascii")
    return struct.pack(">H", len(message)) + message


def read_message(frame):
    text = frame.decode("ascii")
    mti, at = text[:4], 20
    bits, last = int(text[4:20], 16) << 64, 64
    if bits >> 127:
        bits, at, last = bits | int(text[20:36], 16), 36, 128
    elements = {}
    for number in range(2, last + 1):
        if not bits >> (128 - number) & 1:
            continue
        prefix, length = LAYOUT[number]
        if prefix:
            length, at = int(text[at : at + prefix]), at + prefix
        elements[number] = text[at : at + length]
        at += length
    check(at == len(text), f"an answer {mti} with {len(text) - at} characters too many")
    return mti, elements


def cut_frames(buffer):
    """Takes whole frames off the front of a bytearray."""
    while len(buffer) >= 2:
        (length,) = struct.unpack_from(">H", buffer)
        if len(buffer) < 2 + length:
            return
        yield bytes(buffer[2 : 2 + length])
        del buffer[: 2 + length]


# The switch as a process ---------------------------------------------------------------------


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


class Switch:
    """One running `cardswitch serve` on free ports of loopback, `before` its command a tracer."""

    def __init__(self, binary, store, work, before=()):
        self.errors_path = Path(work) / "switch.err"
        config = Path(work) / "switch.toml"
        # Small generations, so that kills and cuts fall into rotations too.
        config.write_text('[log]\nfile = false\nstdout = "off"\n[journal]\nrotate_mib = 16\n')
        command = [str(binary), "serve", "--config", str(config), "--data", str(store)]
        command += ["--listen", "127.0.0.1:0,be2,iso87-ascii", "--admin", "127.0.0.1:0"]
        self.errors = open(self.errors_path, "w+")
        self.process = subprocess.Popen(
            [*before, *command], stdout=subprocess.PIPE, stderr=self.errors, text=True
        )
        self.traced = bool(before)
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
        self.ready.wait(START_SECONDS_MAX)
        if self.port is None or self.admin_port is None or self.process.poll() is not None:
            code = self.process.poll()
            raise Wrong(f"the switch did not start (exit code {code}): {self.complaint()}")
        return self

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
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Wrong(f"the switch was still running after {seconds} s") from None
        self.reader.join()
        self.errors.close()
        return code

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

    def admin(self):
        return http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=30)

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


# Cards ---------------------------------------------------------------------------------------


def check_digit(digits):
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def test_cards(count):
    """Test numbers with opening balances (withdrawable, non-withdrawable); a third are poor."""
    cards = []
    for n in range(1, count + 1):
        stem = f"476173900{n:06}"
        opening = (2_000 * (n % 4), 1_500 * (n % 3)) if n % 3 == 0 else (400_000, 80_000 * (n % 2))
        cards.append((stem + check_digit(stem), opening))
    return cards


def write_card_file(path, cards):
    rows = []
    for pan, (withdrawable, other) in cards:
        rows.append(
            f'[[card]]\npan = "{pan}"\nexpiry = "3112"\nprogramme = "prepaid-jp"\n'
            f'born = "1987-11-25"\nkyc = "verified"\n'
            f"purses = {{ withdrawable = {withdrawable}, non-withdrawable = {other} }}\n"
        )
    Path(path).write_text("\n".join(rows))


def import_cards(binary, store, work, cards):
    path = Path(work) / "cards.toml"
    write_card_file(path, cards)
    code, said, complaint = run_to_end(binary, "import", path, "--data", store)
    check(code == 0 and f"{len(cards)} cards opened" in said, f"import: {said} {complaint}")


# The book: what was sent and what was answered -----------------------------------------------


class Request:
    """One message of the drill, and what came back."""

    def __init__(self, identity, mti, kind, card, minor, elements, original=None, remaining=None):
        self.identity = identity  # (class of the message type, DE 7, DE 11)
        self.mti = mti
        self.kind = kind
        self.card = card
        self.minor = minor
        self.elements = elements
        self.original = original
        self.remaining = remaining
        self.answer = None  # (DE 39, DE 38)


class Book:
    """Every request before it is sent, every answer after it came; also as lines in a file."""

    def __init__(self, path):
        self.lock = threading.Lock()
        self.file = open(path, "a", buffering=1)
        self.requests = {}
        self.counter = 0
        self.answers = 0
        self.approvals = 0
        self.repeats = 0
        self.mistakes = []

    def next_trace(self):
        with self.lock:
            self.counter += 1
            n = self.counter
        # The transmission time changes with every run of trace numbers, so a pair is never reused.
        minutes, stan = divmod(n, 999_999)
        return f"1121{minutes // 60 % 24:02}{minutes % 60:02}07", f"{stan + 1:06}"

    def sent(self, request):
        line = {"sent": request.identity, "mti": request.mti, "card": request.card}
        with self.lock:
            self.requests[request.identity] = request
            self.file.write(json.dumps({**line, "minor": request.minor}) + "\n")

    def answered(self, mti, elements):
        identity = (mti[1], elements.get(7), elements.get(11))
        answer = (elements.get(39), elements.get(38, "").strip() or None)
        with self.lock:
            request = self.requests.get(identity)
            line = {"answered": identity, "mti": mti, "code": answer[0], "approval": answer[1]}
            self.file.write(json.dumps(line) + "\n")
            self.answers += 1
            if request is None:
                self.mistakes.append(f"an answer to a request never sent: {identity}")
            elif request.answer is None:
                request.answer = answer
                self.approvals += answer[0] == "00"
            elif answer[0] == "94" and int(elements[4]) != request.minor:
                pass  # sent again with another amount: refused, and the first answer stands
            else:
                self.repeats += 1
                if request.answer != answer:
                    self.mistakes.append(
                        f"{identity}: answered {request.answer}, repeated {answer}"
                    )
        return request

    def unanswered(self):
        return [request for request in self.requests.values() if request.answer is None]


# The acquirer --------------------------------------------------------------------------------


class Acquirer:
    """Makes plausible traffic for the cards; one per connection, sharing a book."""

    def __init__(self, book, cards, seed, number):
        self.book = book
        self.cards = cards
        self.random = random.Random(f"{seed}/{number}")
        self.number = number
        self.open = []  # approved purchases that can be captured, reversed or repeated

    def _elements(self, card, code, minor, trace, rrn):
        return {
            2: self.cards[card][0],
            3: code,
            4: f"{minor:012}",
            7: trace[0],
            11: trace[1],
            12: "190312",
            13: "1121",
            14: "3112",
            18: "5411",
            22: "052",
            25: "00",
            32: "499999",
            37: rrn,
            41: f"DRILL{self.number % 1000:03}",
            42: "DRILL MERCHANT ",
            43: "MARUNOUCHI KIOSK 3       TOKYO        JP",
            49: "392",
        }

    def _fresh(self, mti, kind, card, minor, code="000000"):
        trace = self.book.next_trace()
        rrn = f"{int(trace[0]) % 1_000_000:06}{trace[1]}"
        elements = self._elements(card, code, minor, trace, rrn)
        return Request((mti[1], *trace), mti, kind, card, minor, elements)

    def _later(self, mti, kind, first, minor, remaining=None):
        trace = self.book.next_trace()
        elements = dict(first.elements)
        elements[7], elements[11] = trace
        elements[4] = f"{minor:012}"
        original = f"{first.mti}{first.elements[11]}{first.elements[7]}{499999:011}{0:011}"
        elements[90] = original
        if first.answer and first.answer[1]:
            elements[38] = first.answer[1]
        if remaining is not None:
            elements[95] = f"{remaining:012}{0:012}C00000000C00000000"
        return Request((mti[1], *trace), mti, kind, first.card, minor, elements, first, remaining)

    def repeat_of(self, request):
        """The same message with the repeat digit: wire bytes, nothing new in the book."""
        return write_message(request.mti[:3] + "1", request.elements)

    def _reversal(self, first):
        mti = self.random.choice(["0400", "0420"])
        if first.minor > 1 and self.random.random() < 0.4:
            return self._later(mti, "reversal", first, first.minor, self.random.randrange(1, first.minor))
        return self._later(mti, "reversal", first, first.minor)

    def compose(self):
        """Wire bytes and the identities whose answers will come, after noting them in the book."""
        dice = self.random.random()
        card = self.random.randrange(len(self.cards))
        minor = self.random.randrange(1, 2_500)
        if dice < 0.12 and self.open:
            first = self.open.pop(self.random.randrange(len(self.open)))
            share = self.random.choice([1, 1, 0.5, 1.15])
            return self._send(self._later("0220", "capture", first, max(1, int(first.minor * share))))
        if dice < 0.22 and self.open:
            return self._send(self._reversal(self.random.choice(self.open)))
        if dice < 0.30 and self.open:
            first = self.random.choice(self.open)
            if self.random.random() < 0.1:
                # The same identity with another amount must be refused and change nothing.
                other = {**first.elements, 4: f"{first.minor + 1:012}"}
                return write_message(first.mti, other), [first.identity]
            return self.repeat_of(first), [first.identity]
        if dice < 0.36:
            mti = self.random.choice(["0200", "0220"])
            return self._send(self._fresh(mti, "refund", card, minor, "200000"))
        if dice < 0.42:
            minor = 1_000 * self.random.randrange(1, 20)
            return self._send(self._fresh("0200", "load", card, minor, "210000"))
        if dice < 0.45:
            # A purchase with its reversal right behind it: the answer is not awaited.
            first = self._fresh("0100", "purchase", card, minor)
            wire, expected = self._send(first)
            more, also = self._send(self._later("0400", "reversal", first, minor))
            return wire + more, expected + also
        if dice < 0.47:
            # The reversal comes first: the original must be declined when it comes.
            first = self._fresh("0100", "purchase", card, minor)
            wire, expected = self._send(self._later("0420", "reversal", first, minor))
            more, also = self._send(first)
            return wire + more, expected + also
        mti = "0200" if dice < 0.60 else "0100"
        return self._send(self._fresh(mti, "purchase", card, minor))

    def _send(self, request):
        self.book.sent(request)
        return write_message(request.mti, request.elements), [request.identity]

    def note(self, request):
        if request and request.kind == "purchase" and request.answer and request.answer[0] == "00":
            self.open.append(request)
            if len(self.open) > 64:
                self.open.pop(0)

    def work(self, stream, until, burst_max=12):
        """Sends bursts and reads their answers until told to stop or the connection ends."""
        buffer = bytearray()
        try:
            while not until.is_set():
                wires, waiting = [], 0
                for _ in range(self.random.randrange(1, burst_max)):
                    wire, expected = self.compose()
                    wires.append(wire)
                    waiting += len(expected)
                stream.sendall(b"".join(wires))
                while waiting:
                    waiting -= self.read_some(stream, buffer)
        except OSError:
            pass  # the switch was killed or has stopped; what came before is in the book
        finally:
            stream.close()

    def read_some(self, stream, buffer):
        piece = stream.recv(65_536)
        if not piece:
            raise ConnectionResetError("the switch closed the connection")
        buffer += piece
        return self.take(buffer)

    def take(self, buffer):
        count = 0
        for frame in cut_frames(buffer):
            self.note(self.book.answered(*read_message(frame)))
            count += 1
        return count


class Load:
    """Several connections at work."""

    def __init__(self, switch, book, cards, seed, connections):
        self.until = threading.Event()
        self.threads = []
        for number in range(connections):
            acquirer = Acquirer(book, cards, seed, number)
            arguments = (switch.connect(), self.until)
            self.threads.append(threading.Thread(target=acquirer.work, args=arguments))
        for thread in self.threads:
            thread.start()

    def join(self):
        for thread in self.threads:
            thread.join(ANSWER_SECONDS_MAX + 10)
            check(not thread.is_alive(), "a connection neither answered nor ended")

    def finish(self):
        self.until.set()
        self.join()


def repeat_all(switch, book, cards, requests, window=200):
    """Sends each request again with its repeat digit and reads all answers."""
    acquirer = Acquirer(book, cards, "repeat", 0)
    stream, buffer = switch.connect(), bytearray()
    for start in range(0, len(requests), window):
        part = requests[start : start + window]
        stream.sendall(b"".join(acquirer.repeat_of(request) for request in part))
        waiting = len(part)
        while waiting:
            waiting -= acquirer.read_some(stream, buffer)
    stream.close()


# The oracle ----------------------------------------------------------------------------------

# Purses of prepaid-jp by number; a purchase spends 1 (non-withdrawable) first, then 0.
SPEND_ORDER = (1, 0)
REFUND_PURSE, LOAD_PURSE = 1, 0


class Parts:
    """Amounts per purse in the order in which they were taken."""

    def __init__(self):
        self.parts = []

    def add(self, purse, minor):
        if minor <= 0:
            return
        for part in self.parts:
            if part[0] == purse:
                part[1] += minor
                return
        self.parts.append([purse, minor])

    def total(self):
        return sum(minor for _, minor in self.parts)

    def take(self, minor, from_end):
        taken = []
        for part in list(reversed(self.parts) if from_end else self.parts):
            share = min(part[1], minor)
            if share:
                taken.append((part[0], share))
                part[1] -= share
                minor -= share
        self.parts = [part for part in self.parts if part[1]]
        return taken


class Account:
    def __init__(self, opening):
        self.balance = list(opening)
        self.held = [0, 0]
        self.may_be_negative = False

    def available(self, purse):
        return self.balance[purse] - self.held[purse]

    def spend(self, minor):
        parts = Parts()
        for purse in SPEND_ORDER:
            share = max(0, min(self.available(purse), minor))
            parts.add(purse, share)
            minor -= share
        return parts, minor

    def spend_regardless(self, minor):
        parts, rest = self.spend(minor)
        parts.add(SPEND_ORDER[-1], rest)
        self.may_be_negative |= rest > 0
        return parts

    def credit(self, purse, minor):
        """Credits a purse; what is free of it then lifts the other one out of debt."""
        left = max(0, min(self.available(purse) + minor, minor))
        self.balance[purse] += minor
        other = 1 - purse
        lift = min(left, max(0, -self.balance[other]))
        self.balance[purse] -= lift
        self.balance[other] += lift


class Oracle:
    """A second opinion on every account, from the decisions in the journal's order."""

    def __init__(self, cards):
        self.accounts = [Account(opening) for _, opening in cards]
        self.entries = {}  # identity of the opening message -> (kind, held, posted)
        self.sequence = 0
        self.decided = {}  # identity -> (sequence, code, approval)
        self.reversed_first = set()
        self.approved_sum = 0

    def feed(self, rows, book):
        """Takes the decisions that are new, and checks each against the model."""
        seen = 0
        for row in rows:
            if row["sequence"] <= self.sequence:
                continue
            check(row["sequence"] > self.sequence, "decisions out of order")
            self.sequence = row["sequence"]
            self._decision(row, book)
            seen += 1
        return seen

    def _decision(self, row, book):
        identity = (row["mti"][1], row["transmitted"], row["stan"])
        request = book.requests.get(identity)
        check(request is not None, f"record {row['sequence']}: nobody sent {identity}")
        if not row["stored"]:
            check(row["code"] == "94", f"{identity}: unstored with code {row['code']}")
            check(row["minor"] != request.minor, f"{identity}: 94 to the same amount")
            return
        check(identity not in self.decided, f"DOUBLED: {identity} is in the journal twice")
        check(row["minor"] == request.minor, f"{identity}: other amount than sent")
        check(row["card"] == request.card + 1, f"{identity}: other card than sent")
        self.decided[identity] = (row["sequence"], row["code"], row["approval"])
        account = self.accounts[request.card]
        if row["code"] == "00":
            getattr(self, "_" + request.kind)(request, account)
            self.approved_sum += request.minor
        else:
            self._declined(request, account, row["code"])
        self._no_debt(account, identity)

    def _no_debt(self, account, identity):
        for purse in (0, 1):
            below = account.available(purse) < 0 and not account.may_be_negative
            check(not below, f"{identity}: purse {purse} went below zero")

    def _declined(self, request, account, code):
        check(request.mti[1:3] != "22" and request.kind != "reversal",
              f"{request.identity}: an advice was declined with {code}")  # fmt: skip
        if code == "51":
            free = account.available(0) + account.available(1)
            check(free < request.minor, f"{request.identity}: declined with {free} available")
        if code == "96":
            check(request.identity in self.reversed_first,
                  f"{request.identity}: system fault")  # fmt: skip

    def _purchase(self, request, account):
        check(request.identity not in self.reversed_first,
              f"{request.identity}: approved after its reversal")  # fmt: skip
        free = account.available(0) + account.available(1)
        check(free >= request.minor, f"{request.identity}: {request.minor} approved of {free}")
        parts, _ = account.spend(request.minor)
        posts = request.mti[1] == "2"
        for purse, minor in parts.parts:
            if posts:
                account.balance[purse] -= minor
            else:
                account.held[purse] += minor
        held, posted = (Parts(), parts) if posts else (parts, Parts())
        self.entries[request.identity] = ("purchase", held, posted)

    def _capture(self, request, account):
        entry = self.entries.get(request.original.identity)
        check(entry is not None, f"{request.identity}: captures what was never approved")
        _, held, posted = entry
        paid = Parts()
        beyond = request.minor - min(request.minor, held.total())
        # What the hold lacks is looked for while the hold still stands.
        extra = account.spend_regardless(beyond)
        for purse, minor in held.take(request.minor, from_end=False):
            account.held[purse] -= minor
            paid.add(purse, minor)
        for purse, minor in extra.parts:
            paid.add(purse, minor)
        for purse, minor in paid.parts:
            account.balance[purse] -= minor
            posted.add(purse, minor)

    def _reversal(self, request, account):
        first = request.original.identity
        entry = self.entries.get(first)
        if entry is None:
            if first not in self.decided:
                self.reversed_first.add(first)
            return
        kind, held, posted = entry
        undone = min(request.minor - (request.remaining or 0), held.total() + posted.total())
        for purse, minor in held.take(undone, from_end=True):
            account.held[purse] -= minor
            undone -= minor
        for purse, minor in posted.take(undone, from_end=True):
            account.balance[purse] += minor if kind == "purchase" else -minor

    def _credit(self, request, account, purse):
        posted = Parts()
        posted.add(purse, request.minor)
        account.credit(purse, request.minor)
        self.entries[request.identity] = (request.kind, Parts(), posted)

    def _refund(self, request, account):
        self._credit(request, account, REFUND_PURSE)

    def _load(self, request, account):
        self._credit(request, account, LOAD_PURSE)

    def check_book(self, book):
        """Every answer a client received is the one in the journal, which has it exactly once."""
        check(not book.mistakes, "; ".join(book.mistakes[:3]))
        lost = 0
        for request in list(book.requests.values()):
            decided = self.decided.get(request.identity)
            if request.answer is None:
                continue
            if decided is None:
                lost += 1
                continue
            check(decided[1:] == request.answer,
                  f"{request.identity}: answered {request.answer}, journal {decided}")  # fmt: skip
        check(lost == 0, f"LOST: {lost} answers are not in the journal")

    def check_accounts(self, shown):
        """The balances the switch showed are the ones of the model, purse by purse."""
        for number, (account, purses) in enumerate(zip(self.accounts, shown, strict=True), start=1):
            expected = list(zip(account.balance, account.held))
            check(purses == expected, f"account {number}: shows {purses}, expected {expected}")


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

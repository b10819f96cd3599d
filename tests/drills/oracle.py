"""The oracle of the drills of the whole switch; it shares no code with the switch.

A book of what was sent and answered, an acquirer that makes plausible traffic, and a second model
of a prepaid-jp account that is fed with the journal's decisions in their order. Messages are
written in `wire.py`, processes are run in `running.py`; their names are offered here as well.

Python 3 standard library only. Not a drill by itself, and therefore not executable.
"""

import json
import random
import threading
from pathlib import Path

from running import (  # noqa: F401: for the drills
    ANSWER_SECONDS_MAX,
    ROOT,
    Switch,
    binary_of,
    is_short,
    replay,
    run_to_end,
    slow_disk,
    write_evidence,
)
from wire import Wrong, check, cut_frames, read_message, write_message  # noqa: F401

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
        self.after_reversal = False


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
        self.turned_away = self.perhaps = 0
        # Codes that mean "not now" to a question: it may be asked again, and nothing was recorded.
        self.not_now = frozenset()
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
            elif request.answer is None and self._is_turned_away(request, answer):
                # What follows its reversal is declined with such a code too, and recorded.
                self.perhaps += request.after_reversal
                self.turned_away += not request.after_reversal
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

    def _is_turned_away(self, request, answer):
        return answer[0] in self.not_now and request.mti[1:3] in ("10", "20")

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
        remaining = None
        if first.minor > 1 and self.random.random() < 0.4:
            remaining = self.random.randrange(1, first.minor)
        return self._later(mti, "reversal", first, first.minor, remaining)

    def capture(self, first, minor):
        """What was sold in the end, of an approved purchase."""
        return self._send(self._later("0220", "capture", first, minor))

    def reversal(self, first):
        """Undoes an approved purchase, in full or in part."""
        return self._send(self._reversal(first))

    def compose(self):
        """Wire bytes and the identities whose answers will come, after noting them in the book."""
        dice = self.random.random()
        card = self.random.randrange(len(self.cards))
        minor = self.random.randrange(1, 2_500)
        if dice < 0.12 and self.open:
            first = self.open.pop(self.random.randrange(len(self.open)))
            share = self.random.choice([1, 1, 0.5, 1.15])
            return self.capture(first, max(1, int(first.minor * share)))
        if dice < 0.22 and self.open:
            return self.reversal(self.random.choice(self.open))
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
            first.after_reversal = True
            wire, expected = self._send(self._later("0420", "reversal", first, minor))
            more, also = self._send(first)
            return wire + more, expected + also
        mti = "0200" if dice < 0.60 else "0100"
        return self.purchase(card, minor, mti)

    def advice(self, card, minor):
        """A refund that was given already."""
        return self._send(self._fresh("0220", "refund", card, minor, "200000"))

    def purchase(self, card, minor, mti="0100"):
        """A purchase by itself."""
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

    def __init__(self, switch, book, cards, seed, connections, acquirer=Acquirer):
        self.until = threading.Event()
        self.threads = []
        for number in range(connections):
            at_work = acquirer(book, cards, seed, number)
            arguments = (switch.connect(), self.until)
            self.threads.append(threading.Thread(target=at_work.work, args=arguments))
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

#!/usr/bin/env python3
"""A client written by others (pyiso8583) holds the first conversations, framing by hand.

Starts the switch on a directory of its own with the demo cards, talks to its ASCII and its binary
door, and checks every answer: what is approved and with what echoes, what is refused and with which
code, what reversals, refunds, repeats and duplicates do to the balance.

  tests/drills/pyiso8583_client.py [BINARY] [--ascii-port N] [--record FILE]

--record writes what was said at the ASCII door as JSON lines, for whoever decodes it from the wire.
Needs the package pyiso8583. Exit code 0 passed, 1 failed, 77 skipped.
"""

import argparse
import copy
import json
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

try:
    import iso8583
    from iso8583.specs import default_ascii
except ImportError:
    print("SKIPPED: pip install pyiso8583==4.0.1")
    sys.exit(77)

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS_MAX = 30
ANSWER_SECONDS_MAX = 10

EVERYDAY = {"2": "4761739001010119", "14": "3112"}
RICH = {"2": "4761739001010200", "14": "3112"}
YEN = "392"
MATCHED_ON = ["2", "3", "4", "7", "11", "12", "13", "32", "33", "37", "41", "42", "49"]
RECORDED = ["3", "4", "11", "39"]


def field(data_enc, len_enc, len_type, max_len, **more):
    row = {"data_enc": data_enc, "len_enc": len_enc, "len_type": len_type, "max_len": max_len}
    return {**row, "desc": "", **more}


def ascii_spec():
    """pyiso8583's own ASCII specification, and where ours differs from it."""
    spec = copy.deepcopy(default_ascii)
    for element, size in {"54": 120, "55": 999, "65": 2, "93": 6, "96": 32}.items():
        spec[element]["max_len"] = size
    return spec


def binary_spec():
    """Packed digits, binary bitmap, lengths in packed digits that count digits."""
    spec = copy.deepcopy(ascii_spec())
    spec["h"] = field("b", "b", 0, 0)
    spec["t"] = field("b", "b", 0, 2)
    spec["p"] = spec["1"] = field("b", "b", 0, 8)
    fixed_digits = {
        3: 6, 4: 12, 5: 12, 6: 12, 7: 10, 8: 8, 9: 8, 10: 8, 11: 6, 12: 6, 13: 4, 14: 4, 15: 4,
        16: 4, 17: 4, 18: 4, 19: 3, 20: 3, 21: 3, 22: 3, 23: 3, 24: 3, 25: 2, 26: 2, 27: 1, 53: 16,
        66: 1, 67: 2, 68: 3, 69: 3, 70: 3, 71: 4, 72: 4, 73: 6, 90: 42,
    }
    for element, digits in fixed_digits.items():
        spec[str(element)] = field("b", "b", 0, digits, len_count="nibbles", left_pad="0")
    for element, digits in {2: 19, 32: 11, 33: 11, 35: 37, 99: 11, 100: 11}.items():
        spec[str(element)] = field("b", "bcd", 1, digits, len_count="nibbles", right_pad="0")
    for element in (44, 45, 101, 102, 103):
        spec[str(element)]["len_enc"] = "bcd"
        spec[str(element)]["len_type"] = 1
    three_digits = [36, 46, 47, 48, 54, *range(56, 64), *range(104, 128)]
    for element in three_digits:
        spec[str(element)]["len_enc"] = "bcd"
        spec[str(element)]["len_type"] = 2
    spec["52"] = spec["64"] = spec["128"] = field("b", "b", 0, 8)
    spec["55"] = field("b", "bcd", 2, 999)
    return spec


class Link:
    """One connection: two bytes of length, most significant first, then the message."""

    def __init__(self, name, address, spec, record=None):
        self.name, self.spec, self.record = name, spec, record
        self.socket = socket.create_connection(address, timeout=ANSWER_SECONDS_MAX)

    def send_bytes(self, body):
        self.socket.sendall(struct.pack(">H", len(body)) + body)

    def receive_bytes(self):
        (size,) = struct.unpack(">H", self.receive_exactly(2))
        return self.receive_exactly(size)

    def receive_exactly(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("the switch closed the connection")
            data += piece
        return data

    def ask(self, message):
        body, _ = iso8583.encode(dict(message), self.spec)
        self.send_bytes(bytes(body))
        answer, _ = iso8583.decode(self.receive_bytes(), self.spec)
        self.remember(message)
        self.remember(answer)
        return answer

    def remember(self, message):
        if self.record:
            kept = {element: message[element] for element in RECORDED if element in message}
            self.record.write(json.dumps({"mti": message["t"], **kept}) + "\n")


class Conversation:
    """The checks at one door."""

    def __init__(self, link):
        self.link = link
        self.passed, self.failed = 0, 0
        # Fresh trace numbers, so that the drill could run twice on one store.
        self.stan = time.time_ns() // 1000 % 900_000

    def check(self, what, good, seen=""):
        if good:
            self.passed += 1
        else:
            self.failed += 1
        word = "pass" if good else "FAIL"
        print(f"{word}  {self.link.name:12}  {what}" + ("" if good else f": got {seen}"))

    def message(self, mti, **elements):
        self.stan += 1
        now = datetime.now(timezone.utc)
        base = {"t": mti, "7": now.strftime("%m%d%H%M%S"), "11": f"{self.stan:06}"}
        return {**base, **{name.strip("_"): text for name, text in elements.items()}}

    def card_message(self, mti, amount, card=None, **elements):
        now = datetime.now(timezone.utc)
        shop = {
            "3": "000000", "4": f"{amount:012}", "12": now.strftime("%H%M%S"),
            "13": now.strftime("%m%d"), "18": "5411", "19": YEN, "22": "052", "25": "00",
            "32": "400001", "33": "500002", "41": "TERM0001", "42": "MARUYAMA-STORE1",
            "43": f"{'MARUYAMA STORE':25}{'TOKYO':13}JP", "49": YEN,
        }
        message = self.message(mti, **shop, **(card or EVERYDAY))
        message["37"] = f"{int(message['11']):012}"
        message.update({name.strip("_"): text for name, text in elements.items()})
        return message

    def buy(self, amount, card=None, **elements):
        return self.card_message("0100", amount, card, **elements)

    def reversal(self, mti, original, remaining=None):
        message = {**original, **self.message(mti)}
        message["90"] = (
            f"{original['t']}{original['11']}{original['7']}{original['32']:0>11}{original['33']:0>11}"
        )
        if remaining is not None:
            message["95"] = f"{remaining:012}{0:012}D{0:08}D{0:08}"
        return message

    def expect(self, what, message, code):
        answer = self.link.ask(message)
        mti = f"{int(message['t']) // 10 * 10 + 10:04}"
        good = answer["t"] == mti and answer["39"] == code and answer["11"] == message["11"]
        self.check(f"{what} ({code})", good, f"{answer['t']} {answer.get('39')}")
        return answer

    def refused(self, what, message, code):
        answer = self.expect(what, message, code)
        if "38" in answer:
            self.check(f"{what}: has no approval code", False, "DE 38")

    def available(self):
        """The available balance by a balance enquiry: first group of DE 54."""
        answer = self.link.ask(self.buy(0, **{"3": "310000"}))
        group = answer.get("54", "")[:20]
        if not group.startswith("0002" + YEN):
            self.check("a balance enquiry shows the available balance", False, group)
            return 0
        return int(group[8:]) * (-1 if group[7] == "D" else 1)

    def moved(self, what, before, by):
        now = self.available()
        self.check(f"{what}: the balance moves by {by:+}", now - before == by, f"{now - before:+}")
        return now

    def hold(self):
        self.management()
        self.purchases()
        self.merchants()
        self.undoing()
        self.repeating()
        self.damaged()
        self.signing_off()

    def management(self):
        for what, code in [("signs on", "001"), ("echoes", "301"), ("cuts over", "201")]:
            answer = self.expect(what, self.message("0800", _70=code), "00")
            self.check(f"{what}: DE 70 is echoed", answer.get("70") == code, answer.get("70"))

    def purchases(self):
        before = self.available()
        purchase = self.buy(1200)
        answer = self.expect("buys", purchase, "00")
        self.check("the approval has a code", len(answer.get("38", "").strip()) == 6, "none")
        missing = [element for element in MATCHED_ON if answer.get(element) != purchase[element]]
        self.check("what clients match on is echoed", not missing, f"not DE {missing}")
        before = self.moved("a purchase", before, -1200)
        capture = self.card_message("0220", 1200, _38=answer["38"], _37=purchase["37"])
        self.expect("settles it", capture, "00")
        before = self.moved("a settlement", before, 0)
        refund = self.card_message("0200", 1200, _3="200000")
        self.expect("refunds", refund, "00")
        before = self.moved("a refund", before, +1200)
        self.expect("asks whether the card is good", self.buy(0), "00")
        swiped = self.buy(300, _22="902", _35=f"{EVERYDAY['2']}{self.separator()}31122010000000")
        del swiped["2"]
        self.expect("buys by the stripe alone", swiped, "00")
        self.expect("calls that off", self.reversal("0400", swiped), "00")
        load = self.card_message("0200", 10_000, _3="210000", _18="6011")
        self.expect("loads", load, "00")
        before = self.moved("a load", before, +10_000)
        self.expect("the load fails at the machine", self.reversal("0420", load), "00")
        self.moved("a failed load", before, -10_000)

    def separator(self):
        """Packed digits know no '='."""
        return "D" if self.link.name == "iso87-binary" else "="

    def merchants(self):
        before = self.available()
        hotel = {"18": "7011", "42": "MINATO-HOTEL-01"}
        self.refused("fuel is refused", self.buy(3000, _18="5541"), "57")
        self.refused("over the balance", self.buy(900_000), "51")
        self.refused("over the limit of a purchase", self.buy(1_000_001, RICH), "61")
        self.refused("recurring, by DE 60", self.buy(800, _60="0000000002"), "57")
        self.refused("recurring, by DE 61", self.buy(800, _61="0004000000"), "57")
        self.refused("hotel deposit, by DE 25", self.buy(9000, **hotel, _25="06"), "57")
        self.refused("hotel deposit, by DE 61", self.buy(9000, **hotel, _61="0000004000"), "57")
        self.refused("instalments, by DE 67", self.buy(9000, _67="03"), "57")
        self.refused("instalments, by DE 60", self.buy(9000, _60="0000000003"), "57")
        self.refused("in flight", self.buy(900, _18="4511", _61="0000000004"), "57")
        before = self.moved("what was refused", before, 0)
        stay = self.buy(9800, **hotel)
        answer = self.expect("the hotel's final amount passes", stay, "00")
        bill = self.card_message("0220", 9800, **hotel, _38=answer["38"], _37=stay["37"])
        self.expect("the hotel's final settlement passes", bill, "00")
        before = self.moved("the hotel", before, -9800)
        self.expect("the hotel gives it back", self.reversal("0420", stay), "00")
        self.moved("the hotel's reversal", before, +9800)

    def undoing(self):
        before = self.available()
        purchase = self.buy(3000)
        self.expect("buys what will be reversed", purchase, "00")
        self.expect("reverses all but 1,000", self.reversal("0420", purchase, 1000), "00")
        before = self.moved("a partial reversal", before, -1000)
        rest = self.reversal("0400", purchase)
        self.expect("reverses the rest", rest, "00")
        before = self.moved("a full reversal", before, +1000)
        self.expect("the same reversal again", {**rest, "t": "0401"}, "00")
        before = self.moved("a repeated reversal", before, 0)
        late = self.buy(700)
        self.expect("a reversal comes first", self.reversal("0420", late), "00")
        self.refused("its original comes late", late, "96")
        self.moved("an overtaken purchase", before, 0)

    def repeating(self):
        before = self.available()
        purchase = self.buy(450)
        first = self.expect("buys what will be repeated", purchase, "00")
        again = self.expect("repeats it", {**purchase, "t": "0101"}, "00")
        self.check("the repeat has the same DE 38", again.get("38") == first["38"], again.get("38"))
        self.check("the repeat's answer is the same in all", again == first, "another")
        before = self.moved("a purchase sent twice", before, -450)
        other = {**purchase, "4": f"{540:012}"}
        self.refused("the same numbers with another amount", other, "94")
        self.expect("calls it off", self.reversal("0420", purchase), "00")
        self.moved("calling it off", before, +450)

    def damaged(self):
        self.refused("no currency", self.without(self.buy(100), "49"), "30")
        self.refused("a transaction that does not exist", self.buy(100, _3="990000"), "12")
        self.refused("a message type that is not ours", self.card_message("0600", 100), "12")
        message = self.buy(100)
        body, _ = iso8583.encode(dict(message), self.link.spec)
        self.link.send_bytes(bytes(body) + b"1")
        answer, _ = iso8583.decode(self.link.receive_bytes(), self.link.spec)
        good = (answer["39"], answer["11"]) == ("30", message["11"])
        self.check("a byte too many (30)", good, answer["39"])

    @staticmethod
    def without(message, element):
        return {name: text for name, text in message.items() if name != element}

    def signing_off(self):
        self.expect("signs off", self.message("0800", _70="002"), "00")
        self.refused("buys although signed off", self.buy(100), "91")


def main():
    arguments = parse()
    binary = arguments.binary or next(
        (path for path in (ROOT / "target" / kind / "cardswitch" for kind in ("release", "debug"))
         if path.exists()), None)
    if not binary:
        print("SKIPPED: build the switch first, or name its binary")
        return 77
    record = open(arguments.record, "w", encoding="utf-8") if arguments.record else None
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="cardswitch-") as directory:
        switch, doors = start(binary, directory, arguments.ascii_port)
        try:
            for name, spec in (("iso87-ascii", ascii_spec()), ("iso87-binary", binary_spec())):
                kept = record if name == "iso87-ascii" else None
                conversation = Conversation(Link(name, doors[name], spec, kept))
                conversation.hold()
                passed += conversation.passed
                failed += conversation.failed
        finally:
            switch.send_signal(signal.SIGTERM)
            code = switch.wait(timeout=READY_SECONDS_MAX)
    if code != 0:
        failed += 1
        print(f"FAIL  the switch stopped with exit code {code}")
    if record:
        record.close()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def start(binary, directory, ascii_port):
    """The switch, and the address of each door once it says that it is ready."""
    output = Path(directory) / "stdout"
    with output.open("wb") as out:
        switch = subprocess.Popen(
            [str(binary), "serve", "--demo", "--data", f"{directory}/store",
             "--listen", f"127.0.0.1:{ascii_port},be2,iso87-ascii",
             "--listen", "127.0.0.1:0,be2,iso87-binary", "--admin", "127.0.0.1:0"],
            stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        lines = output.read_text(encoding="utf-8").splitlines()
        if any(line.startswith("next ") for line in lines):
            doors = {}
            for words in (line.split() for line in lines if line.startswith("listening ")):
                host, port = words[1].rsplit(":", 1)
                doors["iso87-ascii" if "ascii" in words[2] else "iso87-binary"] = (host, int(port))
            return switch, doors
        if switch.poll() is not None:
            break
        time.sleep(0.02)
    switch.kill()
    raise SystemExit(f"the switch did not start:\n{output.read_text(encoding='utf-8')}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", nargs="?", type=Path)
    parser.add_argument("--ascii-port", type=int, default=0)
    parser.add_argument("--record", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

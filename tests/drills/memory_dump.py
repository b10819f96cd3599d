#!/usr/bin/env python3
"""What a dump of the running switch shows of PINs, keys and cards (gcore, then search).

The switch runs with PIN keys made at random, so that nothing else in memory looks like them, and with
the demo cards. Messages bring PINs of twelve digits in PIN blocks, right and wrong ones, and cards in
DE 2 and in tracks. Then the process is dumped (gcore of gdb: what a crash with core files, or somebody
with the right to trace, would have) and the dump searched for each secret in the forms that it has on
its way. What is found is told with the kind of memory it lies in.

  must not be found    PINs in any form: digits, packed, PIN blocks before and after the card number is
                       mixed in; keys as text; a key anywhere but in heap memory, where the cipher is
  told                 keys as bytes (the ciphers need them), tracks and card numbers (buffers of
                       messages are used again, not wiped)
  control              the same search must find the keys in the process, and the right PINs must have
                       been judged right

  tests/drills/memory_dump.py [BINARY]

Needs gdb, openssl and the right to trace. Writes target/drills/memory_dump.json. Exit code 0 passed,
1 failed, 77 skipped.
"""

import re
import secrets
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from running import ROOT, Switch, binary_of, write_evidence
from wire import LAYOUT, Wrong, check, cut_frames, read_message, write_message

ROUNDS = 40
PAGE = 4096
KEY_INDEX = "1"
# Track 2 and the PIN block, which other drills do not send.
LAYOUT |= {35: (2, 0), 52: (0, 16)}


def des(key, block, decipher=False):
    """One block of TDES under a key of double length."""
    command = ["openssl", "enc", "-des-ede", "-nopad", "-K", key.hex()]
    command += ["-d"] if decipher else []
    done = subprocess.run(command, input=block, capture_output=True, check=True)
    return done.stdout


def pin_block(pan, pin):
    """Format 0: the PIN, the card number, and both together."""
    digits = f"0{len(pin):X}{pin}".ljust(16, "F")
    field = bytes.fromhex(digits)
    number = bytes.fromhex("0000" + pan[-13:-1])
    return field, bytes(a ^ b for a, b in zip(field, number))


def verification_value(key, pan, pin):
    """PVV: eleven digits of the card, the index of the key, four digits of the PIN."""
    text = des(key, bytes.fromhex(pan[-12:-1] + KEY_INDEX + pin[:4])).hex()
    digits = [digit for digit in text if digit.isdigit()]
    digits += [str(int(letter, 16) - 10) for letter in text if letter.isalpha()]
    return "".join(digits[:4])


def random_pin():
    return "".join(secrets.choice("0123456789") for _ in range(12))


def random_key():
    """Sixteen bytes with odd parity."""
    odd = [byte & 0xFE | (bin(byte >> 1).count("1") + 1) % 2 for byte in secrets.token_bytes(16)]
    return bytes(odd)


class Core:
    """A core file: where its bytes were in the process, and what kind of memory that was."""

    def __init__(self, path, maps):
        self.maps, self.runs, self.size = maps, [], 0
        with open(path, "rb") as core:
            head = core.read(64)
            check(head[:4] == b"\x7fELF", "gcore wrote no ELF file")
            offset = struct.unpack_from("<Q", head, 32)[0]
            size, count = struct.unpack_from("<HH", head, 54)
            core.seek(offset)
            table = core.read(size * count)
            for at in range(0, size * count, size):
                kind = struct.unpack_from("<I", table, at)[0]
                begin, address, _, length = struct.unpack_from("<QQQQ", table, at + 8)
                if kind == 1:
                    self.take(core, begin, address, length)

    def take(self, core, begin, address, length):
        """Memory that holds anything: an allocator keeps a thousand times as much of zeros."""
        core.seek(begin)
        run = bytearray()
        for at in range(0, length, PAGE):
            page = core.read(min(PAGE, length - at))
            if page.count(0) == len(page):
                self.keep(address + at - len(run), run)
                run = bytearray()
            else:
                run += page
        self.keep(address + length - len(run), run)

    def keep(self, address, run):
        if run:
            self.runs.append((address, bytes(run)))
            self.size += len(run)

    def kind_at(self, where):
        for first, last, name in self.maps:
            if first <= where < last:
                return name
        return "memory that was gone when it was asked for"

    def places(self, needle):
        found = {}
        for address, run in self.runs:
            at = run.find(needle)
            while at >= 0:
                kind = self.kind_at(address + at)
                found[kind] = found.get(kind, 0) + 1
                at = run.find(needle, at + 1)
        return found


def maps_of(pid):
    """Address ranges with a word for what they are."""
    rows = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        parts = line.split(maxsplit=5)
        first, last = (int(part, 16) for part in parts[0].split("-"))
        name = parts[5] if len(parts) > 5 else ""
        if name.startswith("[stack"):
            kind = "stack of the first thread"
        elif name.startswith("["):
            kind = name.strip("[]")
        elif name:
            kind = "file " + Path(name).name
        else:
            # Threads' stacks lie here too; the allocator's memory does.
            kind = "anonymous memory"
        rows.append((first, last, kind))
    return rows


def dumped(pid, folder):
    """The core of a running process; None where that is forbidden."""
    maps = maps_of(pid)
    command = ["gcore", "-o", f"{folder}/core", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    path = Path(f"{folder}/core.{pid}")
    if not path.exists():
        print(f"skipped: gcore may not trace here: {(done.stdout + done.stderr).strip()[-200:]}")
        return None
    return Core(path, maps)


class Bank:
    """Keys and cards of the drill, and what it sent."""

    def __init__(self, folder):
        self.zone, self.verification = random_key(), random_key()
        self.cards = [pan for pan in demo_cards() if len(pan) == 16][:6]
        self.pins = {pan: random_pin() for pan in self.cards}
        self.wrong_pins, self.tracks = [], []
        self.keys_file, self.cards_file = folder / "pin-keys.toml", folder / "cards.toml"
        self.keys_file.write_text(
            f'zone_key = "{self.zone.hex().upper()}"\n[[verification_key]]\nindex = 1\n'
            f'key = "{self.verification.hex().upper()}"\n'
        )
        rows = []
        for pan, pin in self.pins.items():
            value = verification_value(self.verification, pan, pin)
            rows.append(
                f'[[card]]\npan = "{pan}"\nexpiry = "3112"\nprogramme = "prepaid-jp"\n'
                f'kyc = "verified"\npurses = {{ withdrawable = 1000000 }}\nborn = "1980-05-05"\n'
                f'consent = true\npin = {{ key_index = 1, verification_value = "{value}" }}\n'
            )
        self.cards_file.write_text("\n".join(rows))

    def message(self, stan, pan, pin):
        track = f"{pan}=31122010{secrets.randbelow(10**9):09}"
        self.tracks.append(track.split("=")[1])
        block = des(self.zone, pin_block(pan, pin)[1])
        return write_message("0100", {
            2: pan, 3: "000000", 4: "000000000100", 7: "0309010203", 11: f"{stan:06}",
            14: "3112", 18: "5411", 22: "051", 25: "00", 32: "400001", 35: track,
            37: f"{stan:012}", 41: "TERM0001", 42: "MEMORY-DRILL-01",
            43: "DUMPED SHOP".ljust(25) + "TOKYO".ljust(13) + "JP", 49: "392",
            52: block.hex().upper(),
        })  # fmt: skip


def demo_cards():
    text = (ROOT / "fixtures" / "demo.toml").read_text()
    cards = re.findall(r'pan = "(\d+)"[^\[]*?programme = "prepaid-jp"', text)
    check(len(cards) >= 3, "fixtures/demo.toml has too few cards of prepaid-jp")
    return cards


def converse(switch, bank):
    """Sends PINs, right and wrong by turns; the codes of both."""
    codes = {"right": [], "wrong": []}
    stream, buffer = switch.connect(), bytearray()
    for stan in range(1, ROUNDS + 1):
        pan = bank.cards[stan % len(bank.cards)]
        # Never two wrong ones of a card in a row: it would be locked.
        is_right = (stan // len(bank.cards)) % 2 == 0
        pin = bank.pins[pan] if is_right else random_pin()
        if not is_right:
            bank.wrong_pins.append((pan, pin))
        stream.sendall(bank.message(stan, pan, pin))
        frames = []
        while not frames:
            piece = stream.recv(65536)
            check(piece, "the switch closed the connection")
            buffer += piece
            frames = list(cut_frames(buffer))
        _, answer = read_message(frames[0])
        codes["right" if is_right else "wrong"].append(answer[39])
    return stream, codes


def forms_of_pins(bank):
    """Every form of a PIN on its way, by name."""
    forms = []
    for pan, pin in [*bank.pins.items(), *bank.wrong_pins]:
        field, block = pin_block(pan, pin)
        forms += [
            ("PIN as text", pin.encode()),
            ("PIN as digits", bytes(int(digit) for digit in pin)),
            ("PIN packed", bytes.fromhex(pin)),
            ("PIN field", field),
            ("clear PIN block", block),
            ("clear PIN block as text", block.hex().upper().encode()),
        ]
    return forms


def search(core, bank):
    found = {}

    def note(name, needle):
        for kind, count in core.places(needle).items():
            places = found.setdefault(name, {})
            places[kind] = places.get(kind, 0) + count

    for name, needle in forms_of_pins(bank):
        note(name, needle)
    for name, key in [("zone key", bank.zone), ("verification key", bank.verification)]:
        note(name, key)
        note(f"{name} as text", key.hex().upper().encode())
        note(f"{name} as text", key.hex().encode())
        note(f"half of {name} alone", key[:8])
    for track in bank.tracks:
        note("issuer's part of a track", track.encode())
    for pan in bank.cards:
        note("card number", pan.encode())
    return found


def drill(binary, folder):
    bank = Bank(folder)
    settings = {"pin_keys": str(bank.keys_file)}
    imported = subprocess.run(
        [str(binary), "import", str(bank.cards_file), "--data", str(folder / "store")],
        capture_output=True, text=True, check=False,
    )
    check(imported.returncode == 0, f"import: {imported.stderr}{imported.stdout}")
    # The card file has been read by another process; what is found is the switch's own doing.
    switch = Switch(binary, folder / "store", folder, settings=settings).wait_ready()
    try:
        stream, codes = converse(switch, bank)
        check(set(codes["right"]) == {"00"}, f"right PINs were answered {codes['right']}")
        check(set(codes["wrong"]) == {"55"}, f"wrong PINs were answered {codes['wrong']}")
        core = dumped(switch.process.pid, folder)
        if core is None:
            return None
        stream.close()
    finally:
        switch.kill()
    found = search(core, bank)
    check("zone key" in found, "the control failed: the search does not find the zone key")
    for name, places in found.items():
        print(f"  {name}: " + ", ".join(f"{count} in {kind}" for kind, count in places.items()))
    clear = [name for name in found if "PIN" in name or name.endswith("as text")]
    check(not clear, f"found in the dump: {', '.join(clear)}")
    elsewhere = {
        kind for name in found if "key" in name for kind in found[name]
    } - {"anonymous memory", "heap"}
    check(not elsewhere, f"keys lie in {', '.join(sorted(elsewhere))}")
    return {
        "messages": ROUNDS, "dump_bytes": core.size, "found": found,
        "searched": len(forms_of_pins(bank)),
    }


def main():
    binary = binary_of(sys.argv[1] if len(sys.argv) > 1 else None)
    for tool in ["gcore", "openssl"]:
        if shutil.which(tool) is None:
            print(f"skipped: {tool} is not installed")
            return 77
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = drill(binary, Path(folder))
        except Wrong as wrong:
            print(f"failed: {wrong}")
            return 1
    if found is None:
        return 77
    path = write_evidence("memory_dump", binary, found)
    print(f"passed: no PIN and no key as text in {found['dump_bytes'] >> 20} MiB; {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

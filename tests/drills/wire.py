"""ISO 8583:1987 in ASCII behind a two-byte length, written and read by hand.

It shares no code with the switch. Python 3 standard library only; not a drill by itself.
"""

import struct


class Wrong(Exception):
    """The switch did something it must not do."""


def check(fact, sentence):
    if not fact:
        raise Wrong(sentence)


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

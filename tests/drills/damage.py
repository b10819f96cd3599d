"""Ways in which stored bytes go bad: flipped bits, torn, swapped and lost blocks, files cut.

Every way is a `Damage`: what it is called, which file it hits, and how. It is done in place and
undone; only where a file changes its length is all of it written anew. Python 3 standard library
only; not a drill by itself.
"""

import random
import shutil
from pathlib import Path

BLOCKS = (512, 4096)
CELL = 64


class Damage:
    """One change of one file; `change` makes the bytes that stand there afterwards."""

    def __init__(self, kind, file, place, change):
        self.kind, self.file, self.place, self.change = kind, file, place, change

    def __str__(self):
        return f"{self.kind} {self.place} of {self.file}"

    def do(self, store):
        path = Path(store) / self.file
        path.write_bytes(self.change(path.read_bytes()))

    def undo(self, store, whole):
        shutil.copy2(Path(whole) / self.file, Path(store) / self.file)


class Patch(Damage):
    """Other bytes at some places of a file, which stays as long as it is; each `(place, bytes)`."""

    def __init__(self, kind, file, place, pieces):
        super().__init__(kind, file, place, None)
        self.pieces = pieces

    def do(self, store):
        with open(Path(store) / self.file, "r+b") as file:
            for at, piece in self.pieces:
                file.seek(at)
                file.write(piece)

    def undo(self, store, whole):
        source, target = Path(whole) / self.file, Path(store) / self.file
        with open(source, "rb") as sound, open(target, "r+b") as file:
            for at, piece in self.pieces:
                sound.seek(at)
                file.seek(at)
                file.write(sound.read(len(piece)))


class Removal(Damage):
    """A file or a folder that is not there any more."""

    def __init__(self, file):
        super().__init__("removed", file, "all", None)

    def do(self, store):
        path = Path(store) / self.file
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def undo(self, store, whole):
        source, target = Path(whole) / self.file, Path(store) / self.file
        shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)


def files_of(store):
    """All files that belong together; what is in `log/` is for people."""
    found = (path.relative_to(store) for path in Path(store).rglob("*") if path.is_file())
    # Logs are for people, tokens belong to the machine: a store is whole without either.
    return sorted(path for path in found if path.parts[0] not in ("log", "access"))


def written_bytes(content):
    """The places that were ever written, and one byte of each cell of zeros near them."""
    zeros = bytes(CELL)
    written, empty = [], []
    for start in range(0, len(content), CELL):
        cell = content[start : start + CELL]
        if cell == zeros[: len(cell)]:
            empty.append(start)
        else:
            written.extend(range(start, start + len(cell)))
    return written, empty


def flips(file, content, dice):
    """One bit of every byte that was written."""
    written, empty = written_bytes(content)
    near = [at + dice.randrange(CELL) for at in dice.sample(empty, min(len(empty), 16))]
    for at in written + [min(at, len(content) - 1) for at in near]:
        bit = dice.randrange(8)
        flipped = bytes([content[at] ^ 1 << bit])
        yield Patch("flipped bit", file, f"{bit} of byte {at}", [(at, flipped)])


def blocks(file, content, earlier):
    """Each block zeroed, each as it was before, and each exchanged with the one that follows."""
    for size in BLOCKS:
        starts = [at for at in range(0, len(content), size) if any(content[at : at + size])]
        for at in starts:
            yield put(f"zeroed block of {size} at", file, at, bytes(len(content[at : at + size])))
            old = earlier[at : at + size]
            if old not in (b"", content[at : at + size]):
                yield put(f"old block of {size} at", file, at, old)
        for one, other in zip(starts, starts[1:]):
            pair = content[one : one + size], content[other : other + size]
            if pair[0] != pair[1] and len(pair[0]) == len(pair[1]):
                yield swap(file, content, one, other, size)


def put(kind, file, at, piece):
    return Patch(kind, file, f"byte {at}", [(at, piece)])


def swap(file, content, one, other, size):
    first, second = content[one : one + size], content[other : other + size]
    places = f"bytes {one} and {other}"
    return Patch(f"swapped blocks of {size} at", file, places, [(one, second), (other, first)])


def cuts(file, content, dice):
    """Shorter by one byte, empty, half a block too short, and at some places between."""
    last = max(written_bytes(content)[0], default=0)
    lengths = {0, len(content) - 1, len(content) // 2, last, max(0, last - 256)}
    lengths |= {dice.randrange(max(1, last)) for _ in range(12)}
    for length in sorted(length for length in lengths if 0 <= length < len(content)):
        yield Damage("cut to", file, f"{length} bytes", lambda content, to=length: content[:to])


def all_of(store, earlier, seed):
    """Every damage of a store, by kind of damage; `earlier` is a copy from before its end."""
    dice = random.Random(seed)
    found = {"flips": [], "blocks": [], "cuts": [], "removals": []}
    for file in files_of(store):
        content = (Path(store) / file).read_bytes()
        before = Path(earlier) / file
        old = before.read_bytes() if before.is_file() else b""
        if content:
            found["flips"] += flips(file, content, dice)
            found["blocks"] += blocks(file, content, old)
            found["cuts"] += cuts(file, content, dice)
        found["removals"].append(Removal(file))
    folders = {parent for file in files_of(store) for parent in file.parents}
    found["removals"] += [Removal(folder) for folder in sorted(folders) if folder != Path(".")]
    return found

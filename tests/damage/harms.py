"""What misfortune does to one file: each harm is a name and a function of the file's path.

A harm that leaves the file as it was (a flip in an empty file) returns False, and the case is left out.
"""

import random

PAGE_BYTES = 4096


def flip(share):
    """One bit, `share` of the way through the file."""

    def harm(path, foreign):
        data = bytearray(path.read_bytes())
        if not data:
            return False
        at = min(int(len(data) * share), len(data) - 1)
        data[at] ^= 1 << (at % 8)
        path.write_bytes(data)

    return harm


def cut(share):
    """The file ends `share` of the way."""

    def harm(path, foreign):
        data = path.read_bytes()
        keep = int(len(data) * share)
        if keep == len(data):
            return False
        path.write_bytes(data[:keep])

    return harm


def cut_bytes(count):
    """The last `count` bytes that are not zeros go, with the zeros behind them."""

    def harm(path, foreign):
        data = path.read_bytes().rstrip(b"\0")
        if len(data) <= count:
            return False
        path.write_bytes(data[:-count])

    return harm


def zero(path, foreign):
    data = path.read_bytes()
    if not data.strip(b"\0"):
        return False
    path.write_bytes(bytes(len(data)))


def zero_page(path, foreign):
    """A page in the middle, as a disk that lost a sector gives it back."""
    data = bytearray(path.read_bytes())
    at = len(data) // 2 // PAGE_BYTES * PAGE_BYTES
    page = data[at : at + PAGE_BYTES]
    if not bytes(page).strip(b"\0"):
        return False
    data[at : at + PAGE_BYTES] = bytes(len(page))
    path.write_bytes(data)


def empty(path, foreign):
    if path.stat().st_size == 0:
        return False
    path.write_bytes(b"")


def remove(path, foreign):
    path.unlink()


def random_bytes(path, foreign):
    path.write_bytes(random.Random(path.name).randbytes(max(path.stat().st_size, 100)))


def replace_by(path, foreign):
    """The file of the same name of another server, or of a neighbour."""
    if foreign is None or foreign.read_bytes() == path.read_bytes():
        return False
    path.write_bytes(foreign.read_bytes())


def swap(path, foreign):
    if foreign is None or foreign.read_bytes() == path.read_bytes():
        return False
    mine, other = path.read_bytes(), foreign.read_bytes()
    path.write_bytes(other)
    foreign.write_bytes(mine)


HARMS = {
    "flip at the start": flip(0.0),
    "flip at 10 %": flip(0.1),
    "flip at 50 %": flip(0.5),
    "flip at 90 %": flip(0.9),
    "cut to 10 %": cut(0.1),
    "cut to 50 %": cut(0.5),
    "cut by a byte": cut_bytes(1),
    "cut by 7 bytes": cut_bytes(7),
    "zeroed": zero,
    "a page zeroed": zero_page,
    "emptied": empty,
    "removed": remove,
    "random bytes": random_bytes,
    "another's file": replace_by,
    "swapped": swap,
}

"""Compressed payloads made by hand, byte by byte: also those that no compressor would make."""

import gzip
import struct
import zlib

from .kafka import uvarint

XERIAL = b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1)
LZ4_MAGIC, LZ4_LEGACY_MAGIC, ZSTD_MAGIC = 0x184D2204, 0x184C2102, 0xFD2FB528
MASK = 0xFFFFFFFF
P1, P2, P3, P4, P5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393
LZ4_BLOCK_BYTES, ZSTD_BLOCK_BYTES = 1 << 16, 1 << 17


def rotate(value, bits):
    return (value << bits | value >> (32 - bits)) & MASK


def xxh32(data, seed=0):
    """XXH32, which lz4's frames are checked with."""
    at, size = 0, len(data)
    if size >= 16:
        lanes = [(seed + P1 + P2) & MASK, (seed + P2) & MASK, seed, (seed - P1) & MASK]
        while at + 16 <= size:
            for lane, word in enumerate(struct.unpack_from("<4I", data, at)):
                lanes[lane] = rotate((lanes[lane] + word * P2) & MASK, 13) * P1 & MASK
            at += 16
        value = sum(rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18)))
    else:
        value = seed + P5
    value = (value + size) & MASK
    for at in range(at, size - 3, 4):
        value = rotate((value + struct.unpack_from("<I", data, at)[0] * P3) & MASK, 17) * P4 & MASK
    for byte in data[size - size % 4 :]:
        value = rotate((value + byte * P5) & MASK, 11) * P1 & MASK
    value = (value ^ value >> 15) * P2 & MASK
    value = (value ^ value >> 13) * P3 & MASK
    return value ^ value >> 16


def snappy_raw(data, claims=None):
    """One snappy block of literals alone."""
    out = uvarint(len(data) if claims is None else claims)
    for at in range(0, len(data), 60):
        piece = data[at : at + 60]
        out += bytes([(len(piece) - 1) << 2]) + piece
    return out


def snappy_repeated(head, byte, count):
    """`head`, then one byte `count` (a multiple of 64) times: copies of 64 bytes in three."""
    assert count % 64 == 0 and count >= 64
    first = bytes([byte]) * 64
    literals = snappy_raw(head + first, len(head) + count)
    return literals + (bytes([63 << 2 | 2]) + struct.pack("<H", 1)) * (count // 64 - 1)


def xerial(*blocks):
    return XERIAL + b"".join(struct.pack(">i", len(block)) + block for block in blocks)


def lz4_frame(data, *, block_checksum=False, content_checksum=False, content_size=False, independent=True, version=1,
              header_checksum=None, end=True):  # fmt: skip
    """A frame of blocks that are stored as they are."""
    flags = version << 6 | independent << 5 | block_checksum << 4 | content_size << 3 | content_checksum << 2
    header = bytes([flags, 4 << 4]) + (struct.pack("<Q", len(data)) if content_size else b"")
    check = xxh32(header) >> 8 & 0xFF if header_checksum is None else header_checksum
    out = [struct.pack("<I", LZ4_MAGIC), header, bytes([check])]
    for at in range(0, len(data), LZ4_BLOCK_BYTES):
        piece = data[at : at + LZ4_BLOCK_BYTES]
        out += [struct.pack("<I", len(piece) | 1 << 31), piece]
        if block_checksum:
            out.append(struct.pack("<I", xxh32(piece)))
    if end:
        out.append(struct.pack("<I", 0))
        if content_checksum:
            out.append(struct.pack("<I", xxh32(data)))
    return b"".join(out)


def lz4_repeated(head, byte, count):
    """`head` as it is, then one byte `count` times, each block of 4 MiB a single match."""
    header = bytes([1 << 6 | 1 << 5, 7 << 4])
    out = [struct.pack("<I", LZ4_MAGIC), header, bytes([xxh32(header) >> 8 & 0xFF])]
    out += [struct.pack("<I", len(head) | 1 << 31), head]
    while count > 0:
        size = min(count, 4 << 20)
        if size < 64:
            out += [struct.pack("<I", size | 1 << 31), bytes([byte]) * size]
            break
        more = size - 1 - 5 - 4 - 15  # one literal in front, five behind, and what the token says by itself
        match = b"\xff" * (more // 255) + bytes([more % 255])
        block = bytes([1 << 4 | 15, byte]) + struct.pack("<H", 1) + match + bytes([5 << 4]) + bytes([byte]) * 5
        out.append(struct.pack("<I", len(block)) + block)
        count -= size
    return b"".join(out) + struct.pack("<I", 0)


def zstd_frame(*pieces, window_log=17, end=True):
    """A frame of raw blocks, for bytes, and of repeated ones, for (byte, count)."""
    blocks = []
    for piece in pieces:
        if isinstance(piece, tuple):
            byte, count = piece
            sizes = [ZSTD_BLOCK_BYTES] * (count // ZSTD_BLOCK_BYTES) + [count % ZSTD_BLOCK_BYTES]
            blocks += [(1, size, bytes([byte])) for size in sizes if size]
        else:
            for at in range(0, len(piece), ZSTD_BLOCK_BYTES):
                part = piece[at : at + ZSTD_BLOCK_BYTES]
                blocks.append((0, len(part), part))
    blocks = blocks or [(0, 0, b"")]
    out = [struct.pack("<I", ZSTD_MAGIC), bytes([0, (window_log - 10) << 3])]
    for index, (kind, size, body) in enumerate(blocks):
        last = end and index == len(blocks) - 1
        out.append(struct.pack("<I", size << 3 | kind << 1 | last)[:3] + body)
    return b"".join(out)


def gzip_repeated(head, byte, count, tail=b""):
    packer = zlib.compressobj(9, zlib.DEFLATED, 15 + 16)
    out, piece = [packer.compress(head)], bytes([byte]) * (1 << 20)
    while count > 0:
        out.append(packer.compress(piece[: min(count, len(piece))]))
        count -= len(piece)
    return b"".join(out) + packer.compress(tail) + packer.flush()


def gzip_members(*parts):
    return b"".join(gzip.compress(part, mtime=0) for part in parts)

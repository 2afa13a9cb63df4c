"""Cases about records: each asks one broker; the transcripts of two brokers are compared."""

import gzip
import random
import struct
import time
import zlib

from wire.compress import (
    LZ4_LEGACY_MAGIC, XERIAL, gzip_members, gzip_repeated, lz4_frame, lz4_repeated, snappy_raw, xerial, zstd_frame,
)  # fmt: skip
from wire.kafka import batch, record, uvarint, varint

HOUR_MS = 3_600_000


def produced_batches_are_checked(peer):
    # Null records are left out: the original throws over them and never answers.
    peer.create()
    good = batch([b"a", b"b"])
    for records in (
        batch([b"x"], magic=0), batch([b"x"], magic=1), batch([b"x"], magic=3), batch([b"x"], magic=-1),
        batch([b"x"], crc=1), batch([b"x"], count=2), batch([b"x", b"y"], last_delta=0), batch([b"x"], last_delta=5),
        batch([b"x"], count=0), batch([b"x"], count=-1), batch([], last_delta=0), batch([b"x"], attributes=0x20),
        batch([b"x"], producer=7, epoch=0, sequence=-1), batch([b"x"], producer=-1, epoch=0, sequence=0),
        batch([b"x"], offset=5), batch([b"x", b"y"], offset=100), good + batch([b"c"]), good[:-1], good[:30], good[:5],
        b"", good + b"\0", good + b"trailing garbage", bytes(61),
    ):  # fmt: skip
        peer.produce(records)
    peer.produce(good)
    peer.fetch(0)


def records_inside_a_batch_are_checked(peer):
    """The checksum is right; what it covers is not what the header promises."""
    peer.create()
    two = [b"a", b"b"]
    for records in (
        batch(two, count=3, last_delta=2), batch(two, count=1, last_delta=0), batch(two, payload=b""),
        batch(two, payload=b"\x00" * 8), batch(two, payload=b"\xff" * 40), batch(two, payload=record(0, None, b"a") * 2),
        batch(two, payload=record(0, None, b"a") + record(5, None, b"b")),
        batch(two, payload=record(0, None, b"a") + record(1, None, b"b") + b"more"),
        batch(two, payload=record(0, None, b"a") + record(1, None, b"b")[:-1]),
        batch([b"a"], payload=b"\x0c" + record(0, None, b"a")[1:]), batch([b"a"], payload=b"\x01"),
    ):  # fmt: skip
        peer.produce(records)
    peer.list_offsets(-1)


def compressed_batches_of_unknown_kinds_are_refused(peer):
    peer.create()
    inside = record(0, None, b"a")
    for attributes in (5, 6, 7):
        peer.produce(batch([b"a"], attributes=attributes, payload=inside))
    peer.produce(batch([b"a"], attributes=1, payload=gzip.compress(inside, mtime=0)))
    peer.produce(batch([b"a"], attributes=1 | 0x20, payload=gzip.compress(inside, mtime=0)))
    peer.produce(batch([b"a"], attributes=1 | 0x10, payload=gzip.compress(inside, mtime=0)))
    peer.produce(batch([b"a"], attributes=1 | 0x08, payload=gzip.compress(inside, mtime=0)))
    peer.fetch(0)


def damaged_compressed_batches_are_refused(peer):
    peer.create()
    inside = gzip.compress(record(0, None, b"a") + record(1, None, b"b"), mtime=0)
    nothing, garbage = gzip.compress(b"", mtime=0), gzip.compress(b"\xff" * 30, mtime=0)
    for payload in (b"", b"no gzip", inside[:-9], inside[:12] + b"\xff" * 8, nothing, garbage):
        peer.produce(batch([b"a", b"b"], attributes=1, payload=payload))
    for codec in (2, 3, 4):
        peer.produce(batch([b"a", b"b"], attributes=codec, payload=b"garbage that no codec knows"))
    peer.produce(batch([b"a", b"b"], attributes=1, payload=inside, count=3, last_delta=2))
    peer.produce(batch([b"a"], attributes=1, payload=inside))
    peer.list_offsets(-1)


def compressed_payloads_may_come_in_pieces(peer):
    """As each decoder of the original's takes them: members, frames and streams one behind another, and what follows them."""
    peer.create()
    one, two = record(0, None, b"a" * 10), record(1, None, b"b" * 10)
    blocks, skippable = (snappy_raw(one), snappy_raw(two)), struct.pack("<II", 0x184D2A50, 4) + b"skip"
    legacy = struct.pack("<II", LZ4_LEGACY_MAGIC, len(one + two) + 2) + bytes([0xF0, len(one + two) - 15]) + one + two
    for codec, payloads in {
        1: (
            gzip_members(one, two), gzip_members(one + two[:5], two[5:]), gzip_members(one, two, b""),
            gzip_members(one + two) + b"\0", gzip_members(one + two) + b"\0" * 30, gzip_members(one + two) + b"\1" * 600,
            gzip_members(one) + gzip_members(two)[:8], gzip_members(one, two)[:-3], gzip_members(one + two)[:-8] + b"\0" * 8,
            gzip_members(one + two)[:-8], gzip_members(one + two + two), zlib.compress(one + two),
        ),
        2: (
            snappy_raw(one + two), b"", b"abcde", xerial(*blocks), xerial(blocks[0]) + xerial(blocks[1]), xerial(),
            xerial(blocks[0], snappy_raw(b""), blocks[1]), xerial(blocks[0], b"", blocks[1]), xerial(*blocks)[:-1],
            xerial(*blocks) + b"\0", xerial(*blocks) + b"\0" * 4, xerial(*blocks) + b"\xff\0\0\0",
            XERIAL[:8] + struct.pack(">ii", 2, 2) + xerial(*blocks)[16:], uvarint(100 << 20) + b"\0a",
        ),
        3: (
            lz4_frame(one + two), lz4_frame(one) + lz4_frame(two), lz4_frame(one + two) + lz4_frame(two),
            lz4_frame(one + two) + b"garbage", lz4_frame(one + two, block_checksum=True),
            lz4_frame(one + two, block_checksum=True)[:-8] + b"\0" * 8, lz4_frame(one + two, content_checksum=True),
            lz4_frame(one + two, content_size=True), lz4_frame(one + two, independent=False), lz4_frame(b""), legacy,
            lz4_frame(one + two, version=0), lz4_frame(one + two, header_checksum=0), lz4_frame(one + two, end=False),
            skippable + lz4_frame(one + two),
        ),
        4: (
            zstd_frame(one + two), zstd_frame(one) + zstd_frame(two), zstd_frame(one) + zstd_frame() + zstd_frame(two),
            zstd_frame(one + two) + b"g", zstd_frame(one + two) + b"garbage!", skippable + zstd_frame(one + two),
            zstd_frame(one + two) + skippable, zstd_frame(one + two, end=False), zstd_frame(one + two)[:-2],
            zstd_frame(one + two, window_log=27), zstd_frame(one + two, window_log=28), zstd_frame(one + two, (0, 4000 << 20)),
        ),
    }.items():  # fmt: skip
        for payload in payloads:
            peer.produce(batch([b"a", b"b"], attributes=codec, payload=payload))
    peer.list_offsets(-1)


def large_compressed_batches_are_taken(peer):
    """They are opened off the loop: what follows on the same connection is still behind them."""
    peer.create(partitions=2)
    size = 20 << 20
    head = b"\0" + varint(0) + varint(0) + varint(-1) + varint(size)
    head = varint(len(head) + size + 1) + head  # a record of zeros, the last of which counts its headers
    for codec, payload in (
        (4, zstd_frame(head, (0, size + 1))), (3, lz4_repeated(head, 0, size + 1)), (1, gzip_repeated(head, 0, size + 1)),
        (4, zstd_frame(head, (0, size))), (4, zstd_frame(head, (0, size + 2))), (1, gzip_repeated(head, 0, size)),
    ):  # fmt: skip
        peer.produce(batch([b"x"], attributes=codec, payload=payload))
        peer.produce(batch([b"a"]))
    peer.list_offsets(-1)
    peer.list_offsets(1_600_000_000_000)


def batch_lengths_are_checked(peer):
    peer.create()
    good = batch([b"a", b"b"])
    for length in (-1, 0, 1, 48, 49, len(good) - 13, len(good) - 11, 2**31 - 1, -(2**31)):
        peer.produce(good[:8] + struct.pack(">i", length) + good[12:])
    peer.list_offsets(-1)


def unknown_topics_partitions_and_acks_are_refused(peer):
    peer.create()
    peer.produce(batch([b"x"]), suffix="nosuch")
    peer.produce(batch([b"x"]), partition=1)
    peer.produce(batch([b"x"]), partition=-1)
    for acks in (2, -2, 1):
        peer.produce(batch([b"x"]), acks=acks)
        peer.produce(batch([b"x"]), acks=acks, version=7)


def timestamps_too_far_ahead_are_refused(peer):
    peer.create()
    now = int(time.time() * 1000)
    for stamp in (now + 2 * HOUR_MS, now, 0, -1):
        reply = peer.connection.ask(
            "Produce", 9, transaction=None, acks=-1, timeout=5000,
            topics=[{"name": peer.topic(), "partitions": [{"index": 0, "records": batch([b"x"], time=stamp)}]}],
        )  # fmt: skip
        peer.note("produce", [part["error"] for part in reply["topics"][0]["partitions"]])


def timestamps_below_zero_are_taken(peer):
    peer.create()
    for when in (-1, -2, -3, -(10**12), -(2**62)):
        peer.produce(batch([b"a", b"b"], time=when))
    peer.list_offsets(-1)
    peer.list_offsets(-3, version=7)


def batches_over_the_topics_limit_are_refused(peer):
    peer.create(max_message_bytes=1000)
    for size in (800, 938, 939, 940, 2000):
        peer.produce(batch([b"x" * size]))


def keyless_records_on_a_compacted_topic_are_refused(peer):
    peer.create(cleanup_policy="compact")
    peer.produce(batch([b"x"]))
    peer.produce(batch([b"x", b"y"], keys=[b"k", None]))
    peer.produce(batch([b"x"], keys=[b"k"]))
    peer.produce(batch([None], keys=[b"k"]))


def one_requests_partitions_succeed_and_fail_apart(peer):
    peer.create(partitions=2)
    parts = [{"index": n, "records": records} for n, records in enumerate([batch([b"x"]), batch([b"x"], crc=9), batch([b"y"])])]
    peer.ask("Produce", 9, transaction=None, acks=-1, timeout=5000, topics=[{"name": peer.topic(), "partitions": parts}])


def duplicate_sequences_get_their_first_offset(peer):
    peer.create()

    def send(sequence, count=2, epoch=0, producer=4001):
        peer.produce(batch([b"v"] * count, producer=producer, epoch=epoch, sequence=sequence))

    for sequence in (0, 2, 4, 6, 8, 10):
        send(sequence)
    for sequence in (10, 8, 2, 0, 4, 12, 14, 13, 20):
        send(sequence)
    send(12, count=1)
    send(0, epoch=1)
    send(2, epoch=0)
    send(5, epoch=2)
    send(0, epoch=2)
    send(7, producer=4002)
    send(9, producer=4002)
    send(-1, producer=4003)
    peer.list_offsets(-1)


def sequences_wrap_after_the_greatest(peer):
    peer.create()
    for sequence in (2**31 - 3, 2**31 - 1, 1, 3, 0):
        peer.produce(batch([b"a", b"b"], producer=5001, epoch=0, sequence=sequence))


def random_idempotent_producers(peer):
    """Sequences around what is expected, from three producers, epochs going up and down."""
    draw = random.Random(peer.prefix.rpartition("-")[2])
    peer.create()
    following = {producer: [0, 0] for producer in (6001, 6002, 6003)}
    for _ in range(120):
        producer = draw.choice(list(following))
        epoch, sequence = following[producer]
        count = draw.randint(1, 3)
        kind = draw.random()
        if kind < 0.15:
            sequence = max(0, sequence - draw.randint(1, 12))
        elif kind < 0.22:
            sequence += draw.randint(1, 5)
        elif kind < 0.30:
            epoch, sequence = epoch + 1, draw.choice([0, 0, 0, 3])
        elif kind < 0.34:
            epoch = max(0, epoch - 1)
        reply = peer.produce(batch([b"v"] * count, producer=producer, epoch=epoch, sequence=sequence))
        if reply["topics"][0]["partitions"][0]["error"] == 0 and kind >= 0.15:
            following[producer] = [epoch, sequence + count]
    peer.list_offsets(-1)


def fetches_begin_at_the_batch_that_holds_the_offset(peer):
    peer.create()
    for start in range(0, 9, 3):
        peer.produce(batch([b"%d" % n for n in range(start, start + 3)]))
    for offset in (0, 1, 2, 3, 5, 8, 9):
        peer.fetch(offset)
    for offset in (10, 1000, -1, -2, 2**62):
        peer.fetch(offset)
    for most in (0, 1, 60, 80, 200):
        peer.fetch(0, most=most)
    peer.fetch(0, partition=3)
    peer.fetch(0, suffix="nosuch")


def fetches_check_the_leader_epoch(peer):
    peer.create()
    peer.produce(batch([b"x"]))
    for epoch in (-1, 0, 1, 100):
        peer.fetch(0, version=11, leader_epoch=epoch)
        peer.list_offsets(-1, epoch=epoch)


def fetch_sessions_follow_their_epoch(peer):
    peer.create(partitions=2)
    peer.produce(batch([b"x"]))

    def ask(session, epoch, indexes=(), forgotten=()):
        parts = [{"index": n, "leader_epoch": -1, "offset": at, "start": -1, "max": 1 << 20} for n, at in indexes]
        reply = peer.connection.ask(
            "Fetch", 11, replica=-1, wait=0, min=0, max=1 << 20, isolation=0, session=session, epoch=epoch,
            topics=[{"name": peer.topic(), "partitions": parts}] if parts else [],
            forgotten=[{"name": peer.topic(), "partitions": list(forgotten)}] if forgotten else [], rack="",
        )  # fmt: skip
        topics = sorted(
            (part["index"], part["error"], part["high"], len(part["records"] or b"") > 0)
            for topic in reply["topics"] for part in topic["partitions"]
        )  # fmt: skip
        peer.note(f"fetch of epoch {epoch}", (reply["error"], "a session" if reply["session"] else 0, topics))
        return reply["session"]

    session = ask(0, 0, [(0, 0), (1, 0)])
    ask(session, 1)
    ask(session, 2, [(0, 1)])
    peer.produce(batch([b"y"]))
    ask(session, 3)
    ask(session, 3)
    ask(session, 5)
    ask(session, 4, forgotten=[0])
    ask(session, 5, [(1, 99)])
    ask(12345, 1)
    ask(session, -1, [(0, 0)])
    ask(session, 6)
    ask(0, -1, [(0, 1)])
    ask(0, 7)


def offsets_are_found_by_time(peer):
    peer.create()
    for n, stamp in enumerate((1000, 5000, 3000, 3000, 9000)):
        peer.produce(batch([b"%d" % n], time=1_600_000_000_000 + stamp))
    for stamp in (0, 1000, 1001, 3000, 3001, 5000, 5001, 9000, 9001):
        peer.list_offsets(1_600_000_000_000 + stamp)
    for special in (-1, -2, -3, 0, 1, -7):
        peer.list_offsets(special)
        peer.list_offsets(special, version=7)
    peer.list_offsets(-1, partition=5)
    peer.list_offsets(-1, suffix="nosuch")
    peer.create("empty")
    for special in (-1, -2, -3, 5):
        peer.list_offsets(special, suffix="empty", version=7)


def offsets_are_found_only_by_who_knows_the_leader(peer):
    peer.create()
    peer.produce(batch([b"a", b"b"]))
    for epoch in (-1, 0, 1, 99, -5):
        peer.list_offsets(-1, epoch=epoch)
    for special in (-4, -5, -6, -100, 2**63 - 1):
        peer.list_offsets(special, version=7)
    parts = [{"index": index, "epoch": -1, "time": -1} for index in (0, 0, 1, -1)]
    peer.ask("ListOffsets", 5, replica=-1, isolation=1, topics=[{"name": peer.topic(), "partitions": parts}])
    peer.ask("ListOffsets", 5, replica=-1, isolation=0, topics=[])


def epochs_end_where_the_log_ends(peer):
    peer.create()
    peer.produce(batch([b"x", b"y"]))
    for current, epoch in ((-1, 0), (0, 0), (-1, 1), (-1, -1), (5, 0), (-1, 100)):
        part = {"index": 0, "current": current, "epoch": epoch}
        peer.ask("OffsetForLeaderEpoch", 3, replica=-1, topics=[{"name": peer.topic(), "partitions": [part]}])
    part = {"index": 9, "current": -1, "epoch": 0}
    peer.ask("OffsetForLeaderEpoch", 3, replica=-1, topics=[{"name": peer.topic(), "partitions": [part]}])


def records_are_deleted_up_to_an_offset(peer):
    peer.create()
    peer.produce(batch([b"x"] * 10))
    for offset in (3, 1, 11, -2, -1, 10):
        part = {"index": 0, "offset": offset}
        peer.ask("DeleteRecords", 1, topics=[{"name": peer.topic(), "partitions": [part]}], timeout=5000)
        peer.list_offsets(-2)
    peer.fetch(0)
    peer.fetch(10)
    part = {"index": 4, "offset": 0}
    peer.ask("DeleteRecords", 1, topics=[{"name": peer.topic(), "partitions": [part]}], timeout=5000)


def records_of_other_topics_are_not_deleted(peer):
    peer.create("compacted", cleanup_policy="compact")
    peer.create("both", cleanup_policy="compact,delete")
    peer.create("empty")
    for suffix in ("compacted", "both"):
        peer.produce(batch([b"x"], keys=[b"k"]), suffix=suffix)
    for suffix in ("compacted", "both", "empty", "nosuch"):
        for offset in (0, 1, -1):
            part = {"index": 0, "offset": offset}
            peer.ask("DeleteRecords", 1, topics=[{"name": peer.topic(suffix), "partitions": [part]}], timeout=5000)
    peer.ask("DeleteRecords", 1, topics=[], timeout=5000)
    peer.create("times")
    for n in range(4):
        peer.produce(batch([b"x"], time=1_600_000_000_000 + n), suffix="times")
    part = {"index": 0, "offset": 2}
    peer.ask("DeleteRecords", 1, topics=[{"name": peer.topic("times"), "partitions": [part]}], timeout=5000)
    for stamp in (1_600_000_000_000, 1_600_000_000_003, -1, -2, -3):
        peer.list_offsets(stamp, suffix="times", version=7)
    peer.fetch(1, suffix="times")
    peer.fetch(2, suffix="times")


def sessions_are_opened_anew(peer):
    peer.create(partitions=2)
    peer.produce(batch([b"x"]))

    def ask(session, epoch, parts=(), suffix="t", forgotten=()):
        parts = [{"index": n, "leader_epoch": -1, "offset": at, "start": -1, "max": 1 << 20} for n, at in parts]
        reply = peer.connection.ask(
            "Fetch", 11, replica=-1, wait=0, min=0, max=1 << 20, isolation=0, session=session, epoch=epoch,
            topics=[{"name": peer.topic(suffix), "partitions": parts}] if parts else [],
            forgotten=[{"name": peer.topic(suffix), "partitions": list(forgotten)}] if forgotten else [], rack="",
        )  # fmt: skip
        topics = sorted(
            (part["index"], part["error"], part["high"], len(part["records"] or b"") > 0)
            for topic in reply["topics"] for part in topic["partitions"]
        )  # fmt: skip
        peer.note(f"fetch of epoch {epoch}", (reply["error"], "a session" if reply["session"] else 0, topics))
        return reply["session"]

    session = ask(0, 0, [(0, 0), (1, 0), (7, 0)])
    ask(session, 1)
    ask(session, 2, [(0, 0), (0, 1)])
    ask(session, 3, [(0, 50)])
    ask(session, 4, forgotten=[0, 1, 7])
    ask(session, 5)
    ask(session, 6, [(0, 0)], suffix="nosuch")
    renewed = ask(session, 0, [(0, 0)])
    ask(session, 7)
    ask(renewed, 1)
    ask(renewed, 0)
    ask(renewed, -1)
    ask(renewed, 1)
    ask(0, 0)


CASES = [value for value in list(globals().values()) if callable(value) and getattr(value, "__module__", "") == __name__]

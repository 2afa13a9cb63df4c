"""The same batches, compacted by Kafka and by Trivet, leave the same bytes but for the moment that a delete horizon names.

A topic is filled under cleanup.policy=delete and then told to compact, so that both clean the same log in one go; then once
more, when the clean part is cleaned again and tombstones may go.
"""

import gzip
import random
import struct
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

from harness import java, originals, trivet
from wire.kafka import batch, record

from .peer import Peer

WAIT_SECONDS = 60
HOUR_MS = 3_600_000
START_MS = 1_600_000_000_000
HORIZON_BIT = 0x40
INVALID_RECORD = 87
CLEANER = {"log.cleaner.backoff.ms": 100, "log.cleaner.threads": 1, "log.initial.task.delay.ms": 0}


@pytest.fixture(scope="module")
def brokers(target):
    """(original, under test), with cleaners that look all the time."""
    if reason := originals.available("kafka"):
        pytest.skip(reason)
    pair = [originals.Kafka(CLEANER), trivet.Trivet({"kafka": CLEANER}) if target == "trivet" else originals.Kafka(CLEANER)]
    for server in pair:
        server.start()
    yield pair
    for server in pair:
        server.close()


def address(server):
    return {"bootstrap.servers": f"{server.host}:{server.port_of('kafka')}"}


def configure(server, topic, name, value):
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient(address(server))
    admin.incremental_alter_configs([resource])[resource].result(WAIT_SECONDS)


def create(server, topic, **configs):
    fixed = {"cleanup.policy": "delete", "retention.ms": "-1", "segment.ms": str(HOUR_MS), "min.cleanable.dirty.ratio": "0"}
    configs = fixed | {key.replace("_", "."): str(value) for key, value in configs.items()}
    admin = AdminClient(address(server))
    admin.create_topics([NewTopic(topic, 1, 1, config=configs)])[topic].result(WAIT_SECONDS)


def clean(server, topic):
    """Compacts what is sealed."""
    folder = next(server.data.rglob(f"{topic}-0"))
    active = max(int(path.stem) for path in folder.glob("*.log"))
    configure(server, topic, "cleanup.policy", "compact")
    deadline = time.monotonic() + WAIT_SECONDS
    while f"{topic} 0 {active}" not in checkpoint(server):
        assert time.monotonic() < deadline, f"{server.name} does not get clean up to {active}:\n{server.log_tail(20)}"
        time.sleep(0.05)
    configure(server, topic, "cleanup.policy", "delete")


def checkpoint(server):
    return [line for path in server.data.rglob("cleaner-offset-checkpoint") for line in path.read_text().splitlines()]


def segments(server, topic):
    return sorted(path.name for path in next(server.data.rglob(f"{topic}-0")).glob("*.log"))


# ---- batches by hand ----


def pieces(data):
    while data:
        size = 12 + struct.unpack_from(">i", data, 8)[0]
        yield data[:size]
        data = data[size:]


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at


def records_of(data, count, base_time):
    """(offset delta, time, key, value) of each record, and the bytes behind them."""
    found, at = [], 0
    for _ in range(count):
        _, at = read_varint(data, at)
        delta_time, at = read_varint(data, at + 1)
        delta, at = read_varint(data, at)
        parts = []
        for _ in range(2):
            size, at = read_varint(data, at)
            parts.append(None if size < 0 else data[at : at + size])
            at += max(size, 0)
        headers, at = read_varint(data, at)
        assert headers == 0
        found.append((delta, base_time + delta_time, *parts))
    assert at == len(data)
    return found


def described(data):
    """All that a batch says, its base time only where it is no delete horizon."""
    base, _, epoch, magic, _, attributes, last = struct.unpack_from(">qiibIhi", data)
    base_time, max_time, producer, producer_epoch, sequence, count = struct.unpack_from(">qqqhii", data, 27)
    payload = gzip.decompress(data[61:]) if attributes & 7 and count else data[61:]
    return {
        "base": base, "last": last, "magic": magic, "attributes": attributes, "producer": producer, "count": count,
        "producer epoch": producer_epoch, "sequence": sequence, "max time": max_time, "epoch": epoch >= 0,
        "base time": "a horizon" if attributes & HORIZON_BIT else base_time, "records": records_of(payload, count, base_time),
    }  # fmt: skip


def stored(peer):
    """What fetches from the start to the end return."""
    found, offset = [], 0
    while True:
        part = peer.fetch(offset)["topics"][0]["partitions"][0]
        assert part["error"] == 0, part
        if offset == part["high"]:
            return found
        found += [described(piece) for piece in pieces(part["records"])]
        offset = found[-1]["base"] + found[-1]["last"] + 1


def produce(peer, data):
    """A change of cleanup.policy takes a moment to reach the original's partitions; until then it wants keys."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (error := peer.produce(data)["topics"][0]["partitions"][0]["error"]) == INVALID_RECORD:
        assert time.monotonic() < deadline, "still a compacted topic"
        time.sleep(0.05)
    assert error == 0


class Filling:
    """Random batches, the same for each broker: few keys, tombstones, records without a key, producers with sequences."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.sequences = {}
        self.hours = 0

    def batch(self):
        pick = self.random
        count = pick.randint(1, 6)
        keys = [None if pick.random() < 0.05 else b"k%d" % pick.randrange(10) for _ in range(count)]
        values = [None if pick.random() < 0.3 else pick.randbytes(pick.randrange(60)).hex().encode() for _ in range(count)]
        more = {"time": START_MS + self.hours * HOUR_MS}
        if pick.random() < 0.5:
            producer = 1000 + pick.randrange(3)
            more |= {"producer": producer, "epoch": 0, "sequence": self.sequences.get(producer, 0)}
            self.sequences[producer] = self.sequences.get(producer, 0) + count
        if pick.random() < 0.3:
            plain = b"".join(record(n, keys[n], value) for n, value in enumerate(values))
            more |= {"payload": gzip.compress(plain, mtime=0), "attributes": 1}
        return batch(values, keys=keys, **more)

    def segments(self):
        """Batches of some hours, each of which is a segment, and one that seals the last of them."""
        for _ in range(self.random.randint(2, 5)):
            for _ in range(self.random.randint(1, 8)):
                yield self.batch()
            self.hours += 2
        yield batch([b"x"], keys=[b"seal"], time=START_MS + self.hours * HOUR_MS)
        self.hours += 2


def compacted(server, name, seed, retention_ms):
    """What is left after each of three rounds: the batches, and the names of the segments."""
    peer, filling, left = Peer(server.port_of("kafka"), name), Filling(seed), []
    create(server, peer.topic(), delete_retention_ms=retention_ms)
    peer.wait_for_leaders("t")
    for _ in range(3):
        for data in filling.segments():
            produce(peer, data)
        clean(server, peer.topic())
        left.append((stored(peer), segments(server, peer.topic())))
    peer.close()
    return left


@pytest.fixture(scope="module")
def shown():
    """How many seeds left a dated tombstone, and how many an emptied batch: most do, and some not."""
    counts = {"seeds": 0, "dated": 0, "emptied": 0}
    yield counts
    if counts["seeds"] >= 3:
        assert counts["dated"] and counts["emptied"], f"hardly anything was shown: {counts}"


@pytest.mark.seeds(12)
def test_what_is_left_is_what_the_original_leaves(brokers, seed, shown):
    retention_ms = (0, 86_400_000)[seed % 2]
    name = f"compaction-{seed}-{time.time_ns()}"
    expected, actual = (compacted(server, name, seed, retention_ms) for server in brokers)
    for one, other in zip(expected, actual, strict=True):
        assert one[0] == other[0]
        assert one[1] == other[1]
        assert 0 < sum(b["count"] for b in one[0]) < one[0][-1]["base"], "nothing was dropped"
    batches = [b for one in expected for b in one[0]]
    shown["seeds"] += 1
    shown["dated"] += any(b["attributes"] & HORIZON_BIT for b in batches)
    shown["emptied"] += any(b["count"] == 0 for b in batches)


# ---- batches of a client ----


def survivors(server, topic, codec):
    create(server, topic, compression_type="producer")
    producer = Producer(address(server) | {"compression.type": codec, "linger.ms": 20, "enable.idempotence": True})
    pick = random.Random(codec)
    for n in range(3000):
        value = None if pick.random() < 0.1 else f"{n}-" + "v" * pick.randrange(300)
        producer.produce(topic, value, f"k{pick.randrange(200)}", timestamp=START_MS + n // 1000 * 2 * HOUR_MS)
        if n % 1000 == 999:
            producer.flush()
    producer.produce(topic, "x", "seal", timestamp=START_MS + 10 * HOUR_MS)
    assert producer.flush(WAIT_SECONDS) == 0
    clean(server, topic)
    return consumed(server, topic)


def consumed(server, topic):
    consumer = Consumer(address(server) | {"group.id": topic, "enable.auto.commit": False})
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=WAIT_SECONDS)
    consumer.assign([TopicPartition(topic, 0, 0)])
    found, deadline = [], time.monotonic() + WAIT_SECONDS
    while not found or found[-1][0] < end - 1:
        assert time.monotonic() < deadline, f"only {len(found)} records came"
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            found.append((message.offset(), message.timestamp(), message.key(), message.value()))
    consumer.close()
    return found


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_consumers_get_the_same_records_from_both(brokers, codec):
    topic = f"codec-{codec}-{time.time_ns()}"
    expected, actual = (survivors(server, topic, codec) for server in brokers)
    assert len(expected) < 400
    assert expected == actual
    folder = next(brokers[1].data.rglob(f"{topic}-0"))
    files = ",".join(str(path) for path in sorted(folder.glob("*.log")))
    told = java.Kafka(0)("dump-log", "--files", files, "--print-data-log", "--deep-iteration")
    lines = [line for line in told.splitlines() if line.startswith("|")]
    assert [int(line.split("offset: ")[1].split()[0]) for line in lines] == [one[0] for one in expected]
    assert "isvalid: true" in told and "isvalid: false" not in told
    for index in sorted(folder.glob("*index")):
        told = java.Kafka(0)("dump-log", "--files", index, "--index-sanity-check")
        assert "Mismatches" not in told and "Found" not in told, told

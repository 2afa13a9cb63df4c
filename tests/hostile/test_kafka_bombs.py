"""Small batches that claim, or open to, far more than they are: refused within a bound, and nobody waits for it."""

import itertools
import time

import pytest

from harness.trivet import Trivet
from wire import compress, kafka, resp


pytestmark = [pytest.mark.trivet_only, pytest.mark.usefixtures("short_turns")]
INVALID_RECORD = 87
MIB = 1 << 20
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
names = itertools.count(time.time_ns())


def head_of(index, size):
    """A record up to its value of `size` bytes; behind that comes the count of its headers, one byte."""
    body = b"\0" + kafka.varint(0) + kafka.varint(index) + kafka.varint(-1) + kafka.varint(size)
    return kafka.varint(len(body) + size + 1) + body


def many_records(count, size=MIB):
    """A sound batch of `count` records of zeros: nothing in it is wrong but its size when it is opened."""
    pieces = itertools.chain.from_iterable((head_of(index, size), (0, size + 1)) for index in range(count))
    return kafka.batch([b""] * count, attributes=ZSTD, payload=compress.zstd_frame(*pieces))


def one_record(codec, size):
    pack = {GZIP: compress.gzip_repeated, LZ4: compress.lz4_repeated}
    head = head_of(0, size)
    payload = compress.zstd_frame(head, (0, size + 1)) if codec == ZSTD else pack[codec](head, 0, size + 1)
    return kafka.batch([b""], attributes=codec, payload=payload)


def single(codec, payload):
    return kafka.batch([b""], attributes=codec, payload=payload)


@pytest.fixture
def topic(ports):
    name = f"bombs-{next(names)}"
    with kafka.Connection(ports["kafka"]) as connection:
        topic = {"name": name, "partitions": 2, "replication": 1, "assignments": [], "configs": []}
        reply = connection.ask("CreateTopics", 5, topics=[topic], timeout=10_000, validate=False)
        assert reply["topics"][0]["error"] == 0
    return name


def produce(topic, records, partition=0):
    topics = [{"name": topic, "partitions": [{"index": partition, "records": records}]}]
    return {"transaction": None, "acks": -1, "timeout": 10_000, "topics": topics}


def answer(reply):
    return reply["topics"][0]["partitions"][0]


def end_of(connection, topic, partition=0, when=-1):
    parts = [{"index": partition, "epoch": -1, "time": when}]
    reply = connection.ask("ListOffsets", 5, replica=-1, isolation=0, topics=[{"name": topic, "partitions": parts}])
    return answer(reply)["offset"]


BOMBS = {
    "snappy that claims 4 GB": lambda: single(SNAPPY, bytes.fromhex("ffffffff0f0061")),
    "xerial that claims 4 GB": lambda: single(SNAPPY, compress.xerial(bytes.fromhex("ffffffff0f0061"))),
    "zstd of 4 GB of zeros": lambda: single(ZSTD, compress.zstd_frame((0, 4000 * MIB))),
    "zstd of 4 GB behind a record": lambda: single(ZSTD, compress.zstd_frame(kafka.record(0, None, b"a"), (0, 4000 * MIB))),
    "zstd, a record of 300 MB": lambda: one_record(ZSTD, 300 * MIB),
    "zstd, 300 records of 1 MB": lambda: many_records(300),
    "gzip, a record of 300 MB": lambda: one_record(GZIP, 300 * MIB),
    "lz4, a record of 600 MB": lambda: kafka.batch(
        [b""], attributes=LZ4, payload=compress.lz4_repeated(head_of(0, 200 * MIB), 0, 200 * MIB + 2)
    ),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_batch_that_opens_to_too_much_is_refused(ports, topic, bomb):
    with kafka.Connection(ports["kafka"]) as connection:
        assert answer(connection.ask("Produce", 9, **produce(topic, BOMBS[bomb]())))["error"] == INVALID_RECORD
        assert end_of(connection, topic) == 0


def test_fifty_bombs_stop_nobody(ports, topic):
    """Each is opened up to the bound before it is refused; meanwhile everybody else is served."""
    bomb, honest = many_records(300), kafka.batch([b"honest"])
    connections = [kafka.Connection(ports["kafka"]) for _ in range(50)]
    sent = [connection.send("Produce", 9, **produce(topic, bomb)) for connection in connections]
    with kafka.Connection(ports["kafka"]) as other, resp.Connection(ports["redis"]) as redis:
        for count in range(200):
            assert redis.ask("PING") == ("+", "PONG")
            assert answer(other.ask("Produce", 9, **produce(topic, honest, partition=1)))["error"] == 0
    for connection, correlation in zip(connections, sent):
        reply = connection.decode("Produce", 9, correlation, connection.read_frame())
        assert answer(reply)["error"] == INVALID_RECORD
        connection.close()


def test_batches_keep_their_order_whoever_opens_them(ports, topic):
    """On one connection and into one partition: large, small, refused, large, small."""
    large, small, bomb = one_record(ZSTD, 20 * MIB), kafka.batch([b"a", b"b"]), many_records(300)
    with kafka.Connection(ports["kafka"]) as connection:
        batches = [large, small, bomb, large, small]
        sent = [connection.send("Produce", 9, **produce(topic, records)) for records in batches]
        replies = [answer(connection.decode("Produce", 9, each, connection.read_frame())) for each in sent]
        assert [(one["error"], one["offset"]) for one in replies] == [(0, 0), (0, 1), (INVALID_RECORD, -1), (0, 3), (0, 4)]
        assert end_of(connection, topic) == 6


def test_a_request_with_large_batches_for_two_partitions_fills_both(ports, topic):
    large = one_record(ZSTD, 20 * MIB)
    with kafka.Connection(ports["kafka"]) as connection:
        parts = [{"index": index, "records": large} for index in (0, 1)]
        topics = [{"name": topic, "partitions": parts}, {"name": f"{topic}!", "partitions": parts[:1]}]
        reply = connection.ask("Produce", 9, transaction=None, acks=-1, timeout=1000, topics=topics)
        errors = [part["error"] for one in reply["topics"] for part in one["partitions"]]
        assert errors == [0, 0, 3]
        assert (end_of(connection, topic, 0), end_of(connection, topic, 1)) == (1, 1)


def test_a_client_that_goes_while_its_batch_is_opened_leaves_it_in_the_log(ports, topic):
    with kafka.Connection(ports["kafka"]) as connection:
        connection.send("Produce", 9, **produce(topic, one_record(ZSTD, 100 * MIB)))
    with kafka.Connection(ports["kafka"]) as connection:
        deadline = time.monotonic() + 30
        while end_of(connection, topic) == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert end_of(connection, topic) == 1


def test_a_topic_may_go_while_batches_are_opened_for_it(ports, topic):
    with kafka.Connection(ports["kafka"]) as connection, kafka.Connection(ports["kafka"]) as other:
        sent = [connection.send("Produce", 9, **produce(topic, many_records(200))) for _ in range(3)]
        assert other.ask("DeleteTopics", 3, topics=[topic], timeout=10_000)["topics"][0]["error"] == 0
        for each in sent:
            reply = connection.decode("Produce", 9, each, connection.read_frame())
            assert answer(reply)["error"] in (0, 3)


@pytest.mark.parametrize("when", [kafka.NOW_MS, -3], ids=["at", "largest"])
def test_looking_for_a_time_in_large_batches_stops_nobody(ports, topic, when):
    """ListOffsets opens the batch that it looks into, as often as it is asked."""
    early = kafka.record(0, None, b"", time_delta=-1000)
    body = b"\0" + kafka.varint(-1000) + kafka.varint(1) + kafka.varint(-1) + kafka.varint(100 * MIB)
    head = early + kafka.varint(len(body) + 100 * MIB + 1) + body
    last = kafka.record(2, None, b"", time_delta=0)
    payload = compress.gzip_repeated(head, 0, 100 * MIB + 1, last)
    large = kafka.batch([b""] * 3, attributes=GZIP, payload=payload)
    with kafka.Connection(ports["kafka"]) as connection:
        for partition in (0, 1):
            assert answer(connection.ask("Produce", 9, **produce(topic, large, partition)))["error"] == 0
        version = 7 if when == -3 else 5
        parts = [{"index": index, "epoch": -1, "time": when} for index in (0, 1)]
        for _ in range(2):
            topics = [{"name": topic, "partitions": parts}]
            reply = connection.ask("ListOffsets", version, replica=-1, isolation=0, topics=topics)
            assert [part["offset"] for part in reply["topics"][0]["partitions"]] == [2, 2]


def keyed_records(count, size=MIB):
    """As many_records, each under a key of its own."""

    def head(index):
        key = b"%d" % index
        body = b"\0" + kafka.varint(0) + kafka.varint(index) + kafka.varint(len(key)) + key + kafka.varint(size)
        return kafka.varint(len(body) + size + 1) + body

    pieces = itertools.chain.from_iterable((head(index), (0, size + 1)) for index in range(count))
    return kafka.batch([b""] * count, attributes=ZSTD, payload=compress.zstd_frame(*pieces))


def test_large_batches_are_compacted_beside_everybody_else():
    quick = {"log.cleaner.backoff.ms": 50, "log.initial.task.delay.ms": 0, "log.retention.check.interval.ms": 100}
    configs = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0", "max.compaction.lag.ms": "200"}
    configs = [{"name": name, "value": value} for name, value in configs.items()]
    asked = {"name": "bombs", "partitions": 2, "replication": 1, "assignments": [], "configs": configs}
    with Trivet({"kafka": quick}) as server, kafka.Connection(server.start().ports["kafka"]) as connection:
        reply = connection.ask("CreateTopics", 5, topics=[asked], timeout=10_000, validate=False)
        assert reply["topics"][0]["error"] == 0
        before = server.stalls()
        batch = keyed_records(100)
        for _ in range(3):
            assert answer(connection.ask("Produce", 9, **produce("bombs", batch)))["error"] == 0
        deadline = time.monotonic() + 60
        while "bombs 0 300" not in "".join(path.read_text() for path in server.data.rglob("cleaner-offset-checkpoint")):
            assert time.monotonic() < deadline, server.log_tail(20)
            time.sleep(0.05)
        assert server.stalls() == before, server.log_tail(20)

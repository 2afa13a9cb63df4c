"""Requests of Kafka's own protocol, byte by byte: what waits, what is refused, and how much one may ask for."""

import itertools
import time

import pytest

from wire import kafka

FOREVER_MS = 60_000
names = itertools.count(time.time_ns())


@pytest.fixture
def connection(kafka_server):
    """It gives up long before a fetch that waits would."""
    with kafka.Connection(kafka_server.port_of("kafka"), seconds=20) as one:
        yield one


def create(connection, partitions=1, name=None, count=1, validate=False):
    asked = [
        {"name": f"{name or f'requests-{next(names)}'}{index or ''}", "partitions": partitions, "replication": 1,
         "assignments": [], "configs": []}
        for index in range(count)
    ]  # fmt: skip
    reply = connection.ask("CreateTopics", 5, topics=asked, timeout=60_000, validate=validate)
    return reply["topics"]


def produce(connection, topic, parts):
    topics = [{"name": topic, "partitions": [{"index": index, "records": records} for index, records in parts]}]
    reply = connection.ask("Produce", 9, transaction=None, acks=-1, timeout=5000, topics=topics)
    assert all(part["error"] == 0 for part in reply["topics"][0]["partitions"]), reply


def fetch(connection, topic, offsets, least, most=50 << 20, partition_most=1 << 20):
    parts = [
        {"index": index, "leader_epoch": -1, "offset": offset, "start": -1, "max": partition_most}
        for index, offset in offsets
    ]
    reply = connection.ask(
        "Fetch", 11, replica=-1, wait=FOREVER_MS, min=least, max=most, isolation=0, session=0, epoch=-1, forgotten=[],
        rack="", topics=[{"name": topic, "partitions": parts}],
    )  # fmt: skip
    return [kafka.batches(part["records"]) for part in reply["topics"][0]["partitions"]]


@pytest.mark.parametrize("least, most, partition_most", [
    (1 << 20, 50 << 20, 1 << 20),  # the minimum is the partition's limit
    (1 << 20, 1 << 20, 10 << 20),  # or the response's
    (4 << 20, 50 << 20, 1 << 20),  # or more than the partition may give
    (1 << 20, 50 << 20, 1000),  # even one batch is more than the limit
])  # fmt: skip
def test_a_backlog_is_read_without_waiting(connection, least, most, partition_most):
    """Whole batches stop short of a limit, but a partition that stopped there has no more to give."""
    topic = create(connection)[0]["name"]
    batch = kafka.batch([b"x" * 900] * 65)
    for _ in range(60):
        produce(connection, topic, [(0, batch)])
    offset = reads = 0
    while offset < 60 * 65 - 20 * 65:  # while more is there than one answer takes
        (found,) = fetch(connection, topic, [(0, offset)], least, most, partition_most)
        offset = found[-1]["base"] + found[-1]["last"] + 1
        reads += 1
    assert reads >= 1


def test_a_fetch_still_waits_for_its_minimum(connection, kafka_server):
    """Nothing is full: the answer waits for the record that makes it enough, and has all of them."""
    topic = create(connection, partitions=3)[0]["name"]
    produce(connection, topic, [(0, kafka.batch([b"a" * 1000])), (1, kafka.batch([b"b" * 1000]))])
    with kafka.Connection(kafka_server.port_of("kafka")) as other:
        parts = [{"index": index, "leader_epoch": -1, "offset": 0, "start": -1, "max": 1 << 20} for index in range(3)]
        sent = connection.send(
            "Fetch", 11, replica=-1, wait=FOREVER_MS, min=5000, max=1 << 20, isolation=0, session=0, epoch=-1, forgotten=[],
            rack="", topics=[{"name": topic, "partitions": parts}],
        )  # fmt: skip
        for value in (b"c" * 1000, b"d" * 1000, b"e" * 1000):
            produce(other, topic, [(2, kafka.batch([value]))])
    reply = connection.decode("Fetch", 11, sent, connection.read_frame())
    assert [len(kafka.batches(part["records"])) for part in reply["topics"][0]["partitions"]] == [1, 1, 3]

"""Partitions on a disk that is full: refused with Kafka's error, read as before, told of, and taken again when there is room."""

import time

import pytest

from wire import kafka, resp

from .conftest import page

NONE, STORAGE_ERROR = 0, 56
DISK_BYTES = 8 << 20
VALUE = b"v" * 20_000
pytestmark = pytest.mark.trivet_only


def eventually(check, seconds=60):
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


@pytest.fixture
def server(small_disk, start):
    """Only the partitions are on the small disk."""
    partitions, rest = small_disk(DISK_BYTES), small_disk(64 << 20)
    one = start(rest, kafka={"log.dirs": partitions.path / "kafka"})
    one.disk = partitions
    return one


def produce(connection, topic, value=VALUE):
    parts = [{"index": 0, "records": kafka.batch([value])}]
    answer = connection.ask("Produce", 7, transaction=None, acks=-1, timeout=30000,
                            topics=[{"name": topic, "partitions": parts}])  # fmt: skip
    part = answer["topics"][0]["partitions"][0]
    return part["error"], part["offset"]


def create(connection, topic, **configs):
    configs = [{"name": key.replace("_", "."), "value": str(value)} for key, value in configs.items()]
    one = {"name": topic, "partitions": 1, "replication": 1, "assignments": [], "configs": configs}
    answer = connection.ask("CreateTopics", 5, topics=[one], timeout=30000, validate=False)
    assert answer["topics"][0]["error"] == NONE


def values(connection, topic):
    """Every record from the start, whose offsets have no gap."""
    found, offset = [], 0
    while True:
        answer = connection.ask("Fetch", 4, replica=-1, wait=0, min=0, max=50 << 20, isolation=0,
                                topics=[{"name": topic, "partitions": [{"index": 0, "offset": offset, "max": 1 << 20}]}])  # fmt: skip
        part = answer["topics"][0]["partitions"][0]
        assert part["error"] == NONE
        records = [record for one in kafka.batches(part["records"]) for record in kafka.records(one)]
        if not records:
            return found
        assert [record[0] for record in records] == list(range(offset, offset + len(records)))
        found += [record[2] for record in records]
        offset += len(records)


def fill_up(server, connection, topic):
    """Produces until the disk is full; how many were acknowledged."""
    server.disk.fill()
    for n in range(1000):
        error, offset = produce(connection, topic)
        if error:
            assert error == STORAGE_ERROR
            return n
        assert offset == n
    raise AssertionError("the disk never filled")


@pytest.mark.parametrize("segment_bytes", [1 << 20, 1 << 30], ids=["at a roll", "in a segment"])
def test_a_full_disk_refuses_records_serves_reads_and_loses_nothing(server, segment_bytes):
    with kafka.Connection(server.port_of("kafka")) as connection:
        create(connection, "full", segment_bytes=segment_bytes)
        for n in range(60):
            assert produce(connection, "full") == (NONE, n)
        taken = 60
        server.disk.fill()
        while True:
            error, _ = produce(connection, "full")
            if error:
                break
            taken += 1
        assert error == STORAGE_ERROR
        assert len(values(connection, "full")) == taken
        status, text = page(server, "/readyz")
        assert status == 503 and "full-0" in text and "no space" in text
        for _ in range(50):
            assert produce(connection, "full")[0] == STORAGE_ERROR
        server.disk.free()
        for _ in range(10):
            assert produce(connection, "full") == (NONE, taken)
            taken += 1
        eventually(lambda: page(server, "/readyz")[0] == 200)
    server.restart(kill=True)
    with kafka.Connection(server.port_of("kafka")) as connection:
        assert values(connection, "full") == [VALUE] * taken
        assert page(server, "/readyz")[0] == 200


def test_a_full_disk_of_kafkas_stops_no_other_protocol_and_its_own_start(server):
    with kafka.Connection(server.port_of("kafka")) as connection, resp.Connection(server.port_of("redis")) as redis:
        create(connection, "mine")
        taken = fill_up(server, connection, "mine")
        assert redis.ask("SET", "a", "1") == ("+", "OK")
        server.restart(kill=True)
    with kafka.Connection(server.port_of("kafka")) as connection, resp.Connection(server.port_of("redis")) as redis:
        assert redis.ask("GET", "a") == ("$", b"1")
        assert len(values(connection, "mine")) == taken
        server.disk.free()
        assert produce(connection, "mine") == (NONE, taken)


def test_what_is_created_on_a_full_disk_works_when_there_is_room(server):
    """A topic, and __consumer_offsets with its groups."""
    with kafka.Connection(server.port_of("kafka")) as connection, resp.Connection(server.port_of("redis")) as redis:
        create(connection, "old")
        server.disk.fill()
        create(connection, "late")
        assert produce(connection, "late")[0] == STORAGE_ERROR
        redis.send("KAFKA.COMMIT", "group", "old", 0, 0)
        status, text = page(server, "/readyz")
        assert status == 503 and "offline" in text
        server.disk.free()
        eventually(lambda: produce(connection, "late")[0] == NONE)
        eventually(lambda: page(server, "/readyz")[0] == 200)
        eventually(lambda: coordinator_is_there(connection))
        eventually(lambda: offset_of(connection, "group", "old") == 0)


def coordinator_is_there(connection):
    return connection.ask("FindCoordinator", 2, key="group", type=0)["error"] == NONE


def offset_of(connection, group, topic):
    answer = connection.ask("OffsetFetch", 5, group=group, topics=[{"name": topic, "partitions": [0]}])
    return answer["error"] or answer["topics"][0]["partitions"][0]["offset"]


def test_a_record_for_a_full_disk_is_answered_with_an_error_and_delivered_once_when_there_is_room(server):
    with kafka.Connection(server.port_of("kafka")) as connection, resp.Connection(server.port_of("redis")) as redis:
        create(connection, "once")
        taken = fill_up(server, connection, "once")
        tag, text = redis.ask("KAFKA.PRODUCE", "once", "ONCE", "guard", 60, "x" * 20_000)
        assert tag == "-" and text.startswith("KAFKA_STORAGE_ERROR") and "is kept" in text
        server.disk.free()
        eventually(lambda: len(values(connection, "once")) == taken + 1)
        time.sleep(1)
        assert len(values(connection, "once")) == taken + 1

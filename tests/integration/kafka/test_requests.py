"""Requests of Kafka's own protocol, byte by byte: what waits, what is refused, and how much one may ask for."""

import itertools
import socket
import time

import pytest

from wire import kafka

FOREVER_MS = 300_000
names = itertools.count(time.time_ns())


@pytest.fixture
def connection(kafka_server):
    """It gives up long before a fetch that waits would."""
    with kafka.Connection(kafka_server.port_of("kafka"), seconds=60) as one:
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
    answered = reply["topics"][0]["partitions"]
    assert [part["error"] for part in answered] == [0] * len(parts)
    return [kafka.batches(part["records"]) for part in answered]


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


def end_of(connection, topic):
    asked = [{"name": topic, "partitions": [{"index": 0, "epoch": -1, "time": -1}]}]
    return connection.ask("ListOffsets", 5, replica=-1, isolation=0, topics=asked)["topics"][0]["partitions"][0]["offset"]


def test_records_without_acknowledgement_arrive_though_their_producer_has_said_all(connection, kafka_server):
    """They wait behind a request that is under way when the connection ends."""
    topic, count = create(connection)[0]["name"], 200
    parts = [{"name": topic, "partitions": [{"index": 0, "records": kafka.batch([b"x"])}]}]
    other = {"name": f"requests-{next(names)}", "partitions": 1, "replication": 1, "assignments": [], "configs": []}
    requests = kafka.request("CreateTopics", 5, 0, {"topics": [other], "timeout": 60_000, "validate": False})
    for number in range(count):
        asked = {"transaction": None, "acks": 0, "timeout": 1000, "topics": parts}
        requests += kafka.request("Produce", 9, number, asked)
    with kafka.Connection(kafka_server.port_of("kafka")) as leaver:
        leaver.socket.sendall(requests)
        leaver.socket.shutdown(socket.SHUT_WR)
        while leaver.socket.recv(1 << 16):
            pass
    assert end_of(connection, topic) == count


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


def test_topics_that_are_made_by_the_hundred_are_all_there(connection):
    """Metadata's own answer waits for them; each is made once though it is named twice."""
    names_asked = [f"many-{next(names)}-{index}" for index in range(300)]
    topics = connection.ask("Metadata", 1, topics=names_asked + names_asked[:5])["topics"]
    assert sorted(one["name"] for one in topics) == sorted(names_asked)
    assert {one["error"] for one in topics} == {0}
    reply = connection.ask("DeleteTopics", 3, topics=names_asked, timeout=60_000)
    assert {one["error"] for one in reply["topics"]} == {0}


def test_a_topic_with_thousands_of_partitions_comes_and_goes(connection):
    """It is opened over many turns: its answer comes when all of it is there, and its name is free when all is gone."""
    name = f"large-{next(names)}"
    for _ in range(2):
        assert create(connection, 2000, name)[0]["error"] == 0
        produce(connection, name, [(index, kafka.batch([b"x"])) for index in range(0, 2000, 10)])
        (topic,) = connection.ask("Metadata", 1, topics=[name])["topics"]
        assert len(topic["partitions"]) == 2000
        assert connection.ask("DeleteTopics", 3, topics=[name], timeout=60_000)["topics"][0]["error"] == 0


def test_listeners_do_not_change_while_the_broker_runs(connection):
    broker = str(connection.ask("Metadata", 1, topics=[])["controller"])
    for name in ("listeners", "listener.security.protocol.map"):
        configs = [{"name": name, "operation": 0, "value": "PLAINTEXT://127.0.0.1:1"}]
        resources = [{"type": 4, "name": broker, "configs": configs}]
        (result,) = connection.ask("IncrementalAlterConfigs", 0, resources=resources, validate=False)["results"]
        assert (result["error"], result["message"]) == (42, f"Cannot update these configs dynamically: [{name}]")


def test_an_idle_connection_is_closed_soon_after_its_time(launch):
    """connections.max.idle.ms was looked at every ten seconds, whatever it was."""
    server = launch("kafka", **{"connections.max.idle.ms": 300})
    with socket.create_connection(("127.0.0.1", server.port_of("kafka")), timeout=8) as idle:
        assert idle.recv(1) == b""

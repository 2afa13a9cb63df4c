"""What no client should send to Kafka: an error in the reply or a close, and the broker stays up."""

import random
import socket
import struct

import pytest

from harness.process import HOST
from wire import kafka


def closed(port, data, seconds=30):
    """True when the broker closes after these bytes without having answered."""
    with socket.create_connection((HOST, port), timeout=seconds) as conn:
        try:
            conn.sendall(data)
            return conn.recv(1) == b""
        except ConnectionError:
            return True


def frame(body):
    return struct.pack(">i", len(body)) + body


def header(key, version, client=b"x"):
    return struct.pack(">hhih", key, version, 7, len(client)) + client


@pytest.mark.parametrize("size", [-1, -(2**31), 2**31 - 1, 104_857_601])
def test_an_impossible_frame_length_closes_the_connection(ports, size):
    assert closed(ports["kafka"], struct.pack(">i", size) + b"x" * 100)


@pytest.mark.parametrize("key", [-1, 4, 5, 999, 32767])
def test_an_unknown_api_closes_the_connection(ports, key):
    assert closed(ports["kafka"], frame(header(key, 0)))


@pytest.mark.parametrize("version", [99, 32767, -1])
def test_an_unknown_version_of_a_known_api_closes_the_connection(ports, version):
    assert closed(ports["kafka"], frame(header(3, version) + bytes(20)))


@pytest.mark.parametrize("version", [5, 99, 32767])
def test_an_unknown_version_of_api_versions_gets_the_oldest_layout_and_the_range(ports, version):
    with kafka.Connection(ports["kafka"]) as connection:
        connection.socket.sendall(frame(header(18, version) + b"\0\0\0\0"))
        reply = connection.decode("ApiVersions", 0, 7, connection.read_frame())
        assert reply["error"] == 35
        assert [(one["key"], one["min"]) for one in reply["apis"] if one["key"] == 18] == [(18, 0)]


@pytest.mark.parametrize("body", [b"", b"\0", header(18, 0)[:5], header(3, 1), header(3, 1) + b"\0\0\0\x05\0\x03ab"])
def test_a_body_cut_short_closes_the_connection(ports, body):
    assert closed(ports["kafka"], frame(body))


@pytest.mark.parametrize("count", [2**31 - 1, 2**30, 1000])
def test_an_array_longer_than_its_frame_closes_the_connection(ports, count):
    assert closed(ports["kafka"], frame(header(3, 1) + struct.pack(">i", count) + b"\0\x01a"))


def test_acks_zero_is_never_answered(ports):
    with kafka.Connection(ports["kafka"]) as connection:
        topics = [{"name": "nosuchtopic!", "partitions": [{"index": 0, "records": kafka.batch([b"x"])}]}]
        connection.send("Produce", 9, transaction=None, acks=0, timeout=1000, topics=topics)
        try:
            assert connection.ask("ApiVersions", 0)["error"] == 0  # answered next: no reply lay before it
        except ConnectionError:
            pass  # closed because of the error, as the original does


@pytest.mark.seeds(20)
def test_random_changes_to_a_valid_request_never_stop_it(ports, seed):
    draw = random.Random(seed)
    records = kafka.batch([b"value"] * 3, producer=1, epoch=0, sequence=0)
    part = {"index": 0, "records": records}
    valid = [
        kafka.request("Produce", 9, 1, {"transaction": None, "acks": -1, "timeout": 10,
                                        "topics": [{"name": "hostile", "partitions": [part]}]}),
        kafka.request("Metadata", 12, 1, {"topics": None, "create": False, "authorized": False}),
        kafka.request("FindCoordinator", 4, 1, {"type": 0, "keys": ["g"]}),
        kafka.request("ListOffsets", 7, 1, {"replica": -1, "isolation": 0, "topics": [
            {"name": "hostile", "partitions": [{"index": 0, "epoch": -1, "time": -1}]}]}),
    ]  # fmt: skip
    for _ in range(20):
        data = bytearray(draw.choice(valid))
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(4, len(data))] = draw.randrange(256)
        with socket.create_connection((HOST, ports["kafka"]), timeout=0.05) as conn:
            conn.sendall(data)
            try:
                conn.recv(1000)
            except OSError:
                pass


def test_no_config_is_cut_at_a_nul(ports):
    """A value that only begins well is refused, and what was set before it is still there."""
    invalid_topic, invalid_request, invalid_config = 17, 42, 40
    with kafka.Connection(ports["kafka"]) as connection:

        def create(name, **configs):
            configs = [{"name": key.replace("_", "."), "value": value} for key, value in configs.items()]
            topic = {"name": name, "partitions": 1, "replication": 1, "assignments": [], "configs": configs}
            return connection.ask("CreateTopics", 5, topics=[topic], timeout=10000, validate=False)["topics"][0]["error"]

        def alter(kind, resource, name, value):
            change = {"type": kind, "name": resource, "configs": [{"name": name, "operation": 0, "value": value}]}
            reply = connection.ask("IncrementalAlterConfigs", 0, resources=[change], validate=False)
            return reply["results"][0]["error"]

        def retention():
            asked = {"type": 2, "name": "nul", "keys": ["retention.ms"]}
            reply = connection.ask("DescribeConfigs", 3, resources=[asked], synonyms=False, documentation=False)
            return reply["results"][0]["configs"][0]["value"]

        assert create("nul\0", retention_ms="1000") == invalid_topic
        assert create("nul", retention_ms="1000\x009") == invalid_config
        assert create("nul", **{"retention.ms\0": "1000"}) == invalid_config
        assert create("nul", retention_ms="5000") == 0
        assert alter(2, "nul", "retention.ms", "1000\x009") in (invalid_request, invalid_config)
        assert alter(2, "nul", "leader.replication.throttled.replicas", "*\0") in (invalid_request, invalid_config)
        assert retention() == "5000"
        for broker in ("1\0", "1\x002"):
            assert alter(4, broker, "log.cleaner.threads", "1") == invalid_request
        assert alter(4, "", "some.plugin\0", "1") == invalid_request

"""Clients that ask for far more than they read: replies wait for their reader, and other clients for nobody."""

import socket
import time

import pytest

from wire import jute, kafka, resp

WINGS = ["redis", "kafka", "zookeeper"]
BIG = b"x" * 1_000_000


class GreedyRedis:
    """A value of a megabyte, again and again."""

    def __init__(self, port):
        self.connection = resp.Connection(port)
        self.connection.ask("SET", "big", BIG)
        self.socket = self.connection.socket

    def requests(self, count):
        return resp.encode("GET", "big") * count

    def check_replies(self, count):
        for _ in range(count):
            assert self.connection.read() == ("$", BIG)

    def close(self):
        self.connection.close()


class GreedyKafka:
    """All that there is to say about the broker's configuration."""

    def __init__(self, port):
        self.connection = kafka.Connection(port)
        self.socket = self.connection.socket
        self.broker = str(self.connection.ask("Metadata", 1, topics=[])["controller"])

    def requests(self, count):
        resources = [{"type": 4, "name": self.broker, "keys": None}]
        ask = {"resources": resources, "synonyms": True, "documentation": True}
        return b"".join(kafka.request("DescribeConfigs", 3, number, ask) for number in range(count))

    def check_replies(self, count):
        for number in range(count):
            frame = self.connection.read_frame()
            assert int.from_bytes(frame[:4], "big") == number
            assert len(frame) > 10_000

    def close(self):
        self.connection.close()


class GreedyZooKeeper:
    """A node of a megabyte, again and again; now and then behind a sync, where reads pile up."""

    def __init__(self, port):
        self.connection = jute.Connection(port)
        self.path = f"/big-{self.connection.session}"
        assert self.connection.ask(jute.CREATE, jute.create(self.path, BIG, flags=jute.EPHEMERAL))[2] == 0
        self.socket = self.connection.socket

    def requests(self, count):
        read = jute.i32(jute.GET_DATA) + jute.read(self.path)
        write = jute.i32(jute.SYNC) + jute.text("/")
        return b"".join(jute.frame(jute.i32(xid) + (read if xid % 100 else write)) for xid in range(count))

    def check_replies(self, count):
        for xid in range(count):
            reply = self.connection.read_reply()
            assert (reply[0], reply[2]) == (xid, 0)
            assert xid % 100 == 0 or jute.Reader(reply[3]).buffer() == BIG

    def close(self):
        self.connection.close()


GREEDY = {"redis": GreedyRedis, "kafka": GreedyKafka, "zookeeper": GreedyZooKeeper}
GROWTH_BYTES_MAX = 128 << 20
REQUESTS_MANY, REQUESTS_SOME = 2000, 300


@pytest.fixture
def greedy(request, ports):
    client = GREEDY[request.param](ports[request.param])
    yield client
    client.close()


@pytest.mark.trivet_only
@pytest.mark.parametrize("greedy", WINGS, indirect=True)
def test_what_one_packet_asks_for_is_not_all_made_at_once(greedy, ports, answers, shared):
    """Gigabytes of replies, none of which is read: little memory is used, and other clients are answered."""
    (wing,) = ports
    server = shared.of(wing)
    before = server.resident_bytes()
    greedy.socket.sendall(greedy.requests(REQUESTS_MANY))
    answers[wing](ports[wing])
    grown = server.resident_bytes() - before
    assert grown < GROWTH_BYTES_MAX, f"grew by {grown >> 20} MiB"


@pytest.mark.parametrize("greedy", WINGS, indirect=True)
def test_what_one_packet_asks_for_arrives_whole_and_in_order(greedy):
    greedy.socket.sendall(greedy.requests(REQUESTS_SOME))
    greedy.check_replies(REQUESTS_SOME)


VALUE, PIPELINED = b"v" * 200, 300_000


@pytest.fixture
def pipeline(ports):
    with resp.Connection(ports["redis"]) as connection:
        connection.ask("SET", "small", VALUE)
        yield connection, resp.encode("GET", "small") * PIPELINED


def check_pipeline(connection):
    for _ in range(PIPELINED):
        assert connection.read() == ("$", VALUE)


def test_a_long_pipeline_may_be_sent_whole_before_a_reply_is_read(pipeline):
    """As redis-py and others do: 9 MB that ask for 60."""
    connection, requests = pipeline
    connection.socket.sendall(requests)
    check_pipeline(connection)


@pytest.mark.trivet_only
def test_a_client_that_says_it_has_said_all_gets_every_reply(pipeline):
    connection, requests = pipeline
    connection.socket.sendall(requests)
    connection.socket.shutdown(socket.SHUT_WR)
    check_pipeline(connection)
    assert connection.socket.recv(1) == b""


@pytest.mark.trivet_only
@pytest.mark.parametrize("greedy", ["redis"], indirect=True)
def test_a_client_that_never_reads_cannot_grow_the_process_without_limit(greedy, ports, shared):
    """The same in many packets, until the server takes no more."""
    server = shared.of("redis")
    before = server.resident_bytes()
    greedy.socket.settimeout(2)
    try:
        for _ in range(2 * REQUESTS_MANY):
            greedy.socket.sendall(greedy.requests(1))
    except OSError:
        pass
    time.sleep(0.5)
    grown = server.resident_bytes() - before
    assert grown < GROWTH_BYTES_MAX, f"grew by {grown >> 20} MiB"

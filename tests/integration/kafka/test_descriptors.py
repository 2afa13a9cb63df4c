"""Few descriptors and many partitions: all of them are written, read and kept, and a shortage passes by itself."""

import os
import socket

import pytest

from harness.process import HOST
from harness.trivet import Trivet
from wire import kafka

NONE = 0
STORAGE_ERROR = 56
pytestmark = pytest.mark.trivet_only


class Limited(Trivet):
    """Trivet under a limit of open files."""

    def __init__(self, nofile, directives=None):
        super().__init__(directives)
        self.nofile = nofile

    def command(self):
        return ["prlimit", f"--nofile={self.nofile}:{self.nofile}", *super().command()]

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


@pytest.fixture
def limited():
    started = []

    def start(nofile, **directives):
        server = Limited(nofile, {"kafka": directives})
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.close()


def create(connection, name, partitions, **configs):
    configs = [{"name": key.replace("_", "."), "value": str(value)} for key, value in configs.items()]
    topic = {"name": name, "partitions": partitions, "replication": 1, "assignments": [], "configs": configs}
    answer = connection.ask("CreateTopics", 5, topics=[topic], timeout=60000, validate=False)
    assert [one["error"] for one in answer["topics"]] == [NONE]


def produce(connection, topic, partitions, value=b"x" * 100, time=kafka.NOW_MS):
    """The error of each partition."""
    parts = [{"index": index, "records": kafka.batch([value], time=time)} for index in partitions]
    answer = connection.ask(
        "Produce", 7, transaction=None, acks=-1, timeout=30000, topics=[{"name": topic, "partitions": parts}]
    )
    return [part["error"] for part in answer["topics"][0]["partitions"]]


def fetch(connection, topic, partitions, offset=0, limit=1 << 20):
    """{partition: (error, records)} in as many requests as it takes."""
    found = {}
    left = set(partitions)
    while left:
        parts = [{"index": index, "offset": offset, "max": limit} for index in sorted(left)]
        answer = connection.ask(
            "Fetch", 4, replica=-1, wait=0, min=0, max=50 << 20, isolation=0, topics=[{"name": topic, "partitions": parts}]
        )
        taken = {
            part["index"]: (part["error"], [record for one in kafka.batches(part["records"]) for record in kafka.records(one)])
            for part in answer["topics"][0]["partitions"]
            if part["error"] or part["records"]
        }
        assert taken, "a fetch without anything"
        found |= taken
        left -= set(taken)
    return found


def metric(server, name):
    for line in server_metrics(server):
        if line.startswith(f"{name} "):
            return float(line.split()[1])
    raise KeyError(name)


def server_metrics(server):
    with socket.create_connection((HOST, server.port_of("http")), timeout=10) as conn:
        conn.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        return b"".join(iter(lambda: conn.recv(1 << 16), b"")).decode().splitlines()


@pytest.mark.parametrize(
    ("nofile", "partitions"), [(200, 400), pytest.param(20_000, 50_000, marks=pytest.mark.soak)], ids=["small", "large"]
)
def test_more_partitions_than_descriptors_are_all_written_read_and_kept(limited, nofile, partitions):
    server = limited(nofile)
    share = min(partitions, 5000)
    topics = [f"many{n}" for n in range(partitions // share)]
    with kafka.Connection(server.port_of("kafka")) as connection:
        for topic in topics:
            create(connection, topic, share)
        for _ in range(3):
            for topic in topics:
                assert set(produce(connection, topic, range(share))) == {NONE}
        assert server.open_files() < nofile
        for topic in topics:
            assert {error for error, _ in fetch(connection, topic, range(share)).values()} == {NONE}
    server.restart(kill=True)
    with kafka.Connection(server.port_of("kafka")) as connection:
        for topic in topics:
            assert {(error, len(records)) for error, records in fetch(connection, topic, range(share)).values()} == {(NONE, 3)}


def test_flushed_partitions_share_few_descriptors(limited):
    server = limited(200)
    with kafka.Connection(server.port_of("kafka")) as connection:
        create(connection, "flushed", 300, flush_messages=1, segment_bytes=1 << 20)
        for _ in range(2):
            assert set(produce(connection, "flushed", range(300))) == {NONE}


def test_fetches_that_nobody_reads_do_not_keep_others_from_their_files(limited):
    server = limited(100)
    value = b"v" * 33_000  # above what is copied
    unread = []
    with kafka.Connection(server.port_of("kafka")) as connection:
        create(connection, "wide", 60)
        for _ in range(3):
            assert set(produce(connection, "wide", range(60), value)) == {NONE}
        try:
            for _ in range(4):
                one = kafka.Connection(server.port_of("kafka"))
                one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                unread.append(one)
                parts = [{"index": index, "offset": 0, "max": 1 << 20} for index in range(60)]
                one.send("Fetch", 4, replica=-1, wait=0, min=0, max=50 << 20, isolation=0,
                         topics=[{"name": "wide", "partitions": parts}])  # fmt: skip
            for _ in range(3):
                assert set(produce(connection, "wide", range(60), value)) == {NONE}
            for error, records in fetch(connection, "wide", range(60)).values():
                assert error == NONE and len(records) == 6
        finally:
            for one in unread:
                one.close()


def test_a_log_of_thousands_of_small_segments_stays_cheap(limited):
    server = limited(80)
    with kafka.Connection(server.port_of("kafka")) as connection:
        create(connection, "tiny", 1, segment_bytes=1 << 20, segment_ms=1)
        for n in range(600):
            assert produce(connection, "tiny", [0], b"x", time=kafka.NOW_MS + 10 * n) == [NONE]
        assert server.open_files() < 80
        assert len(list(server.data.rglob("tiny-0/*.log"))) == 600
        (error, records), = fetch_all(connection, "tiny", 600)
        assert error == NONE and len(records) == 600


def fetch_all(connection, topic, count):
    records = []
    while len(records) < count:
        error, more = fetch(connection, topic, [0], offset=len(records))[0]
        if error:
            return [(error, records)]
        records += more
    return [(NONE, records)]


def test_a_crowd_of_idle_clients_does_not_keep_a_log_from_rolling(limited):
    server = limited(64)
    idle = []
    with kafka.Connection(server.port_of("kafka")) as connection:
        create(connection, "rolls", 1, segment_ms=1)
        assert produce(connection, "rolls", [0], time=kafka.NOW_MS) == [NONE]
        try:
            for n in range(100):
                idle.append(socket.create_connection((HOST, server.port_of(["redis", "kafka", "zookeeper"][n % 3]))))
            answers = [produce(connection, "rolls", [0], time=kafka.NOW_MS + 10 + 10 * n) for n in range(20)]
        finally:
            for one in idle:
                one.close()
        assert answers == [[NONE]] * 20
        assert len(list(server.data.rglob("rolls-0/*.log"))) == 21

"""Wings recover side by side: each is served when its own recovery is over, and what needs another waits."""

import urllib.error
import urllib.request

import pytest

from harness.process import HOST, ServerError
from harness.trivet import Trivet
from wire import jute, kafka, resp

pytestmark = pytest.mark.trivet_only

TOPICS, PARTITIONS = 50, 100
STARTS_MAX = 10  # until one is caught in the middle


def ready_page(server):
    try:
        with urllib.request.urlopen(f"http://{HOST}:{server.port_of('http')}/readyz", timeout=60) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Watched(Trivet):
    """Asks the wings that are ready, and then whether Kafka was not yet."""

    asks = False

    def start(self):
        self.answers = {}
        super().start()

    def on_wing(self, wing):
        if wing == "kafka" or not self.asks or not {"redis", "zookeeper", "http"} <= {line["wing"] for line in self.wings_ready}:
            return
        with resp.Connection(self.port_of("redis")) as redis:
            self.answers["set"] = redis.ask("SET", "while", "starting")
            self.answers["produce"] = redis.ask("KAFKA.PRODUCE", "t0", "x")
        zookeeper = jute.Connection(self.port_of("zookeeper"))
        self.answers["zookeeper"] = zookeeper.ask(jute.EXISTS, jute.read("/brokers"))[2]
        zookeeper.close()
        self.answers["page"] = ready_page(self)

    def caught_early(self):
        return "kafka: starting" in self.answers["page"][1]


class Stopped(Watched):
    """Is told to stop when the first wings are ready."""

    asks = True

    def on_wing(self, wing):
        super().on_wing(wing)
        if self.answers:
            self.process.terminate()
            self.process.wait(60)
            raise ServerError("stopped")


@pytest.fixture(scope="module")
def server():
    with Watched() as server:
        server.start()
        with kafka.Connection(server.port_of("kafka")) as connection:
            for i in range(TOPICS):
                topic = {"name": f"t{i}", "partitions": PARTITIONS, "replication": 1, "assignments": [], "configs": []}
                made = connection.ask("CreateTopics", 5, topics=[topic], timeout=60_000, validate=False)
                assert made["topics"][0]["error"] == 0, made
        server.asks = True
        yield server
        server.kill9()  # an orderly stop would sync every file of theirs


def test_redis_and_zookeeper_answer_while_kafka_recovers(server):
    for _ in range(STARTS_MAX):
        server.restart(kill=True)
        assert server.wings_ready[-1]["wing"] == "kafka"
        assert server.answers["set"] == ("+", "OK") and server.answers["zookeeper"] == 0
        if server.caught_early():
            break
    assert server.caught_early(), server.answers
    assert server.answers["page"][0] == 503 and "redis: ready\nkafka: starting\n" in server.answers["page"][1]
    assert server.answers["produce"][0] == "-" and server.answers["produce"][1].startswith("LOADING")
    assert ready_page(server) == (200, "redis: ready\nkafka: ready\nzookeeper: ready\nhttp: ready\nready\n")
    with resp.Connection(server.port_of("redis")) as redis:
        assert redis.ask("KAFKA.PRODUCE", "t0", "x")[0] == "*"  # partition and offset


def test_a_server_that_is_stopped_while_it_recovers_checks_all_again(server):
    """A stop in the middle leaves no mark that says that all was closed."""

    server.kill9()
    stopped = Stopped(data=server.data)
    for _ in range(STARTS_MAX):
        with pytest.raises(ServerError):
            stopped.start()
        if "kafka" not in {line["wing"] for line in stopped.wings_ready}:
            break
    assert "kafka" not in {line["wing"] for line in stopped.wings_ready}, "never caught in the middle"
    assert not (server.data / "kafka" / ".kafka_cleanshutdown").exists()
    server.start()
    assert server.alive()


class Loading(Trivet):
    """Asks Redis when the tree is served and Redis has not said that it is."""

    asks = False

    def on_wing(self, wing):
        if wing != "zookeeper" or not self.asks or "redis" in {line["wing"] for line in self.wings_ready}:
            return
        with resp.Connection(self.port_of("redis")) as redis:
            self.answers = [redis.ask("GET", "k"), redis.ask("KAFKA.PRODUCE", "t", "x"), redis.ask("INFO", "persistence")]
        zookeeper = jute.Connection(self.port_of("zookeeper"))
        self.answers.append(zookeeper.ask(jute.EXISTS, jute.read("/"))[2])
        zookeeper.close()


def test_redis_says_loading_while_the_others_serve(tmp_path):
    with Loading(data=tmp_path / "trivet") as server:
        server.start()
        with resp.Connection(server.port_of("redis")) as redis:
            script = "for i = 1, 200000 do redis.call('SET', 'k' .. i, 'v' .. i) end redis.call('SET', 'k', 'last')"
            assert redis.ask("EVAL", script, 0)[0] != "-"
        server.asks = True
        for _ in range(STARTS_MAX):
            server.answers = None
            server.restart(kill=True)
            if server.answers and server.answers[0][0] == "-":
                break
        read, produce, info, exists = server.answers
        assert read[0] == "-" and read[1].startswith("LOADING"), read
        assert produce[0] == "-" and produce[1].startswith("LOADING"), produce
        assert "loading:1" in str(info) and exists == 0
        with resp.Connection(server.port_of("redis")) as redis:
            assert redis.ask("GET", "k")[1] == b"last"


def test_large_partitions_are_checked_ahead_and_hold_what_they_held(tmp_path):
    """Several megabytes each, none of them known to be durable: their checksums are read in the pool before they are opened."""
    batch, partitions, batches = kafka.batch([b"x" * 500_000]), range(6), 4
    with Trivet(data=tmp_path / "trivet") as server:
        server.start()
        with kafka.Connection(server.port_of("kafka")) as connection:
            topic = {"name": "large", "partitions": len(partitions), "replication": 1, "assignments": [], "configs": []}
            connection.ask("CreateTopics", 5, topics=[topic], timeout=60_000, validate=False)
            parts = [{"index": index, "records": batch} for index in partitions]
            for _ in range(batches):
                reply = connection.ask("Produce", 9, transaction=None, acks=-1, timeout=60_000,
                                       topics=[{"name": "large", "partitions": parts}])  # fmt: skip
                assert all(part["error"] == 0 for part in reply["topics"][0]["partitions"])
        server.restart(kill=True)
        with kafka.Connection(server.port_of("kafka")) as connection:
            asked = [{"index": index, "epoch": -1, "time": -1} for index in partitions]
            topics = [{"name": "large", "partitions": asked}]
            answer = connection.ask("ListOffsets", 5, replica=-1, isolation=0, topics=topics)
            assert [part["offset"] for part in answer["topics"][0]["partitions"]] == [batches] * len(partitions)

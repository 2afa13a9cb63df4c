"""What one wing does for long holds no other wing: the others answered before it did."""

import itertools
import select
import urllib.error
import urllib.request

import pytest

from harness.process import HOST
from harness.trivet import Trivet
from wire import compress, jute, kafka, resp

pytestmark = pytest.mark.trivet_only

LONG_SECONDS = 3
LONG = {
    "sleep": ["DEBUG", "SLEEP", LONG_SECONDS],
    "sort": ["SORT", "many", "BY", "nosuch-*", "ALPHA", "STORE", "sorted"],
    "union": ["SUNIONSTORE", "both", "many", "more"],
    "script": ["EVAL", "local n = 0 for i = 1, 100000000 do n = n + i end return n", 0],
}
SESSION_MS = 2000
ROUNDS_MIN = 3  # whoever is held ends one, when the long request has ended; a busy machine does not do many
MIB = 1 << 20
ZSTD = 4
INVALID_RECORD = 87


@pytest.fixture(scope="module")
def server():
    settings = {"zookeeper": {"tickTime": 200, "minSessionTimeout": 400}, "redis": {"enable-debug-command": "yes"},
                "kafka": {"group.min.session.timeout.ms": 400}}  # fmt: skip
    with Trivet(settings) as server:
        server.start()
        with resp.Connection(server.port_of("redis")) as connection:
            for key in ("many", "more"):
                script = f"for i = 1, 600000 do redis.call('SADD', '{key}', '{key}:' .. i) end"
                assert connection.ask("EVAL", script, 0)[0] != "-"
        yield server


def answered(connection):
    return select.select([connection.socket], [], [], 0)[0] != []


class Holder:
    """Holds a session of ZooKeeper with an ephemeral node; fails once it is lost."""

    def __init__(self, server, name):
        self.path = f"/held-{name}"
        self.connection = jute.Connection(server.port_of("zookeeper"), timeout=SESSION_MS)
        assert self.connection.ask(jute.CREATE, jute.create(self.path, b"", jute.EPHEMERAL))[2] == 0

    def go_on(self):
        assert self.connection.ask(jute.SET_DATA, jute.set_data(self.path, b"x"))[2] == 0

    def close(self):
        assert self.connection.ask(jute.EXISTS, jute.read(self.path))[2] == 0
        self.connection.close()


class Member:
    """A consumer group's only member, which produces, too; fails once its group is rebalanced."""

    def __init__(self, server, name):
        self.group = self.topic = f"held-{name}"
        self.connection = kafka.Connection(server.port_of("kafka"))
        make_topics(self.connection, {self.topic: 1})
        self.connection.ask("FindCoordinator", 4, type=0, keys=[self.group])  # makes the groups' topic
        asked = {"group": self.group, "session": SESSION_MS, "rebalance": SESSION_MS, "member": "", "type": "consumer",
                 "protocols": [{"name": "range", "data": b""}]}  # fmt: skip
        joined = self.connection.ask("JoinGroup", 2, **asked)
        assert joined["error"] == 0
        self.me = {"group": self.group, "generation": joined["generation"], "member": joined["member"], "instance": None}
        share = [{"id": joined["member"], "data": b""}]
        assert self.connection.ask("SyncGroup", 3, **self.me, assignments=share)["error"] == 0

    def go_on(self):
        topics = [{"name": self.topic, "partitions": [{"index": 0, "records": kafka.batch([b"x"])}]}]
        reply = self.connection.ask("Produce", 9, transaction=None, acks=-1, timeout=10_000, topics=topics)
        assert reply["topics"][0]["partitions"][0]["error"] == 0
        assert self.connection.ask("Heartbeat", 3, **self.me)["error"] == 0

    def close(self):
        self.go_on()
        self.connection.close()


class Caller:
    """A client of Redis."""

    def __init__(self, server):
        self.connection = resp.Connection(server.port_of("redis"))

    def go_on(self):
        assert self.connection.ask("SET", "called", 1) == ("+", "OK")

    def close(self):
        self.connection.socket.close()


def make_topics(connection, topics):
    asked = [{"name": name, "partitions": count, "replication": 1, "assignments": [], "configs": []}
             for name, count in topics.items()]  # fmt: skip
    reply = connection.ask("CreateTopics", 5, topics=asked, timeout=100_000, validate=False)
    assert [one["error"] for one in reply["topics"]] == [0] * len(topics)


def go_on_until(connection, *others):
    """Until the connection is answered the others are, again and again: how often."""
    rounds = 0
    while not answered(connection):
        for other in others:
            other.go_on()
        rounds += 1
    return rounds


def end(rounds, *others):
    assert rounds >= ROUNDS_MIN, "they waited"
    for other in others:
        other.close()


@pytest.mark.parametrize("how", LONG)
def test_a_long_command_of_redis_holds_no_session_of_zookeeper_and_no_member_of_kafka(server, how):
    others = Holder(server, how), Member(server, how)
    with resp.Connection(server.port_of("redis")) as redis:
        redis.socket.sendall(resp.encode(*LONG[how]))
        rounds = go_on_until(redis, *others)
        assert redis.read()[0] != "-"
        end(rounds, *others)


def bomb(records=300):
    """A batch of some bytes that opens to 300 MB."""
    body = [b"\0" + kafka.varint(0) + kafka.varint(n) + kafka.varint(-1) + kafka.varint(MIB) for n in range(records)]
    heads = [kafka.varint(len(one) + MIB + 1) + one for one in body]
    pieces = itertools.chain.from_iterable((head, (0, MIB + 1)) for head in heads)
    return kafka.batch([b""] * records, attributes=ZSTD, payload=compress.zstd_frame(*pieces))


def test_what_opens_to_far_more_than_it_is_holds_kafka_alone_if_anybody(server):
    with kafka.Connection(server.port_of("kafka")) as connection:
        make_topics(connection, {"bombs": 1})
        topics = [{"name": "bombs", "partitions": [{"index": 0, "records": bomb()}]}]
        asked = {"transaction": None, "acks": -1, "timeout": 100_000, "topics": topics}
        sent = [connection.send("Produce", 9, **asked) for _ in range(20)]
        rounds = 0
        others = Holder(server, "bomb"), Caller(server)
        for each in sent:
            rounds += go_on_until(connection, *others)
            reply = connection.decode("Produce", 9, each, connection.read_frame())
            assert reply["topics"][0]["partitions"][0]["error"] == INVALID_RECORD
        end(rounds, *others)


@pytest.mark.parametrize("requests", [1, pytest.param(4, marks=pytest.mark.soak)])
def test_the_making_of_very_many_partitions_holds_neither_redis_nor_zookeeper(requests):
    """5,000 a request: one of more than 10,000 is refused."""
    with Trivet({"zookeeper": {"tickTime": 200, "minSessionTimeout": 400}}) as server:
        others = Holder(server.start(), "wide"), Caller(server)
        with kafka.Connection(server.port_of("kafka"), seconds=120) as connection:
            asked = [[{"name": f"wide-{n}", "partitions": 1000, "replication": 1, "assignments": [], "configs": []}
                      for n in range(5 * at, 5 * at + 5)] for at in range(requests)]  # fmt: skip
            sent = [connection.send("CreateTopics", 5, topics=topics, timeout=100_000, validate=False) for topics in asked]
            rounds = 0
            for each in sent:
                rounds += go_on_until(connection, *others)
                reply = connection.decode("CreateTopics", 5, each, connection.read_frame())
                assert [one["error"] for one in reply["topics"]] == [0] * 5
        end(rounds, *others)
        server.kill9()  # to close them all would take long


def get(server, path):
    try:
        with urllib.request.urlopen(f"http://{HOST}:{server.port_of('http')}{path}", timeout=60) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_while_a_reactor_does_not_answer_health_does_and_the_others_say_so(server):
    with resp.Connection(server.port_of("redis")) as redis:
        redis.socket.sendall(resp.encode("DEBUG", "SLEEP", 2 * LONG_SECONDS))  # two pages wait for it in vain
        assert get(server, "/healthz")[0] == 200
        while (page := get(server, "/readyz"))[0] == 200:  # until the command has begun
            assert not answered(redis)
        assert page[0] == 503 and "has not answered" in page[1]
        status, text = get(server, "/metrics")
        assert status == 200 and "trivet_reactor_silent{" in text
        assert not answered(redis)
        assert redis.read() == ("+", "OK")
    assert get(server, "/readyz") == (200, "redis: ready\nkafka: ready\nzookeeper: ready\nhttp: ready\nready\n")
    assert "trivet_reactor_silent" not in get(server, "/metrics")[1]

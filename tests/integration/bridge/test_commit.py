"""KAFKA.COMMIT: a consumer group's position in one atomic step with keys."""

import socket
import time

import pytest
from confluent_kafka import Consumer, TopicPartition
from harness.java import Kafka
from wire import kafka as kafka_wire
from wire import resp

from .conftest import info_of, make_topic, wait_for

pytestmark = pytest.mark.trivet_only

NO_POSITION = -1
LOAD_IN_PROGRESS = 14


def fetch(server, group, topic="t", partition=0):
    """What OffsetFetch answers right now: (error, offset, metadata)."""
    with kafka_wire.Connection(server.port_of("kafka")) as connection:
        reply = connection.ask("OffsetFetch", 5, group=group, topics=[{"name": topic, "partitions": [partition]}])
    if reply["error"]:
        return reply["error"], None, None
    found = reply["topics"][0]["partitions"][0]
    return found["error"], found["offset"], found["metadata"]


def commit_through_kafka(server, group, offset, topic="t"):
    consumer = Consumer({"bootstrap.servers": f"127.0.0.1:{server.port_of('kafka')}", "group.id": group})
    done = consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
    consumer.close()
    assert done[0].error is None


def with_topic(server, connect, topic="t", records=1):
    connection = connect(server)
    for _ in range(records):
        assert connection.ask("KAFKA.PRODUCE", topic, "v")[0] == "*"
    return connection


def settle(server, group, offset, topic="t"):
    wait_for(lambda: fetch(server, group, topic)[:2] == (0, offset))


def test_in_a_transaction_alone_and_in_a_script(start, connect, transact):
    server = start()
    connection = with_topic(server, connect)
    assert transact(connection, ["SET", "state", 1], ["KAFKA.COMMIT", "g", "t", 0, 5]) == ("*", [("+", "OK"), (":", 1)])
    settle(server, "g", 5)
    assert connection.ask("KAFKA.COMMIT", "g", "t", 0, 6, "METADATA", "so far") == (":", 2)
    assert fetch(server, "g") == (0, 6, "so far")
    script = "redis.call('SET', 'state', ARGV[1]) return redis.call('KAFKA.COMMIT', 'g', 't', 0, ARGV[1])"
    assert connection.ask("EVAL", script, 0, 7) == (":", 3)
    assert fetch(server, "g") == (0, 7, "")
    assert connection.ask("KAFKA.WAIT", 5000) == (":", 4)
    assert connection.ask("KAFKA.COMMITTED", "g", "t", 0) == (":", 7)


@pytest.mark.parametrize("command", [["KAFKA.COMMIT", "g", "t", 0, 5], ["KAFKA.PRODUCE", "t", "v"], ["KAFKA.COMMITTED", "g", "t", 0]])
def test_a_client_that_has_said_all_gets_its_answers(start, connect, command):
    """As a shell does that pipes its commands into nc."""
    server = start()
    with_topic(server, connect)
    with resp.Connection(server.port_of("redis")) as connection:
        connection.socket.sendall(resp.encode(*command) * 300 + resp.encode("PING"))
        connection.socket.shutdown(socket.SHUT_WR)
        for _ in range(300):
            assert connection.read()[0] != "-"
        assert connection.read() == ("+", "PONG")
        assert connection.socket.recv(1) == b""


def test_committed_reads_what_its_own_transaction_commits(start, connect, transact):
    connection = with_topic(start(), connect)
    ask = ["KAFKA.COMMITTED", "g", "t", 0]
    assert connection.ask(*ask) == ("$", None)
    both = transact(connection, ask, ["KAFKA.COMMIT", "g", "t", 0, 3], ask, ["KAFKA.COMMIT", "g", "t", 0, 9], ask,
                    ["KAFKA.COMMITTED", "g", "t", 1], ["KAFKA.COMMITTED", "other", "t", 0])  # fmt: skip
    assert both == ("*", [("$", None), (":", 1), (":", 3), (":", 2), (":", 9), ("$", None), ("$", None)])
    assert connection.ask(*ask) == (":", 9)
    assert connection.ask("KAFKA.COMMITTED", "g", "no such topic", 0) == ("$", None)


def test_the_outbox_shows_what_waits(start, connect, transact):
    connection = with_topic(start(), connect)
    reply = transact(connection, ["KAFKA.COMMIT", "g", "t", 0, 3], ["KAFKA.OUTBOX", "LIST"], ["KAFKA.OUTBOX", "INFO"])
    entry = reply[1][1][1][0][1]
    assert entry[1] == ("$", b"__consumer_offsets") and entry[3] == ("$", b"g t 0 3")
    info = reply[1][2][1]
    assert info[info.index(("$", b"positions")) + 1] == (":", 1)
    wait_for(lambda: info_of(connection)["depth"] == 0)
    assert info_of(connection)["positions"] == 0


@pytest.mark.parametrize(
    "bad, why",
    [
        (["KAFKA.COMMIT", "g", "absent", 0, 1], "UNKNOWN_TOPIC_OR_PARTITION"),
        (["KAFKA.COMMIT", "g", "t", 7, 1], "UNKNOWN_TOPIC_OR_PARTITION"),
        (["KAFKA.COMMIT", "", "t", 0, 1], "INVALID_GROUP_ID"),
        (["KAFKA.COMMIT", "g" * 40_000, "t", 0, 1], "INVALID_GROUP_ID"),
        (["KAFKA.COMMIT", "g", "t", 0, 1, "METADATA", "x" * 5000], "OFFSET_METADATA_TOO_LARGE"),
        (["KAFKA.COMMIT", "g", "t", 0, 1, "MEMBER", "nobody", 1], "UNKNOWN_MEMBER_ID"),
        (["KAFKA.COMMIT", "g", "t", 0, -1], "ERR offset"),
        (["KAFKA.COMMIT", "g", "t", "x", 1], "ERR partition"),
        (["KAFKA.COMMIT", "g", "t", 0, 1, "NONSENSE"], "ERR syntax error"),
        (["KAFKA.COMMIT", "g", "t", 0, 1, "METADATA"], "ERR syntax error"),
    ],
)
def test_a_precondition_that_fails_leaves_nothing_half_done(start, connect, transact, bad, why):
    server = start()
    connection = with_topic(server, connect)
    tag, text = transact(connection, ["SET", "a", 1], ["KAFKA.COMMIT", "g", "t", 0, 1], bad, ["KAFKA.PRODUCE", "t", "never"])
    assert tag == "-" and text.startswith("EXECABORT") and "command 3 of 4 (KAFKA.COMMIT)" in text and why in text, text
    assert connection.ask("EXISTS", "a") == (":", 0)
    assert connection.ask("KAFKA.COMMITTED", "g", "t", 0) == ("$", None)
    tag, text = connection.ask(*bad)
    assert tag == "-" and text.startswith(why), text
    quoted = ", ".join(f"'{word}'" for word in bad)
    tag, text = connection.ask("EVAL", f"return redis.call({quoted})", 0)
    assert tag == "-" and why in text, text
    assert info_of(connection)["next-number"] == 1


def test_watch_that_fails_commits_nothing(start, connect, transact):
    server = start()
    one, two = with_topic(server, connect), connect(server)
    one.ask("WATCH", "state")
    two.ask("SET", "state", "other")
    assert transact(one, ["SET", "state", "mine"], ["KAFKA.COMMIT", "g", "t", 0, 5]) == ("*", None)
    assert one.ask("KAFKA.COMMITTED", "g", "t", 0) == ("$", None)


def test_the_topic_of_the_groups_is_made_even_where_topics_may_not_be(start, connect):
    server = start(kafka={"auto.create.topics.enable": "false"})
    make_topic(server, "t")
    connection = connect(server)
    assert connection.ask("KAFKA.COMMIT", "g", "t", 0, 5) == (":", 1)
    settle(server, "g", 5)


def test_after_a_kill_position_and_state_agree_at_the_first_question(start, connect, transact):
    """Again and again killed right behind an answer: whoever asks Kafka first after the restart sees what Redis has."""
    server = start(kafka={"offsets.topic.num.partitions": 3})
    connection = with_topic(server, connect)
    n = 0
    for _ in range(6):
        for _ in range(20):
            n += 1
            assert transact(connection, ["SET", "state", n], ["KAFKA.COMMIT", "g", "t", 0, n])[0] == "*"
        server.restart(kill=True)
        error, offset = LOAD_IN_PROGRESS, None
        while error == LOAD_IN_PROGRESS:
            error, offset, _ = fetch(server, "g")
        connection = connect(server)
        assert (error, offset) == (0, n)
        assert connection.ask("GET", "state") == ("$", b"%d" % n)
        assert connection.ask("KAFKA.COMMITTED", "g", "t", 0) == (":", n)


@pytest.mark.parametrize("flush", [{}, {"log.flush.interval.messages": 1}], ids=["page cache", "synced"])
def test_the_last_commit_wins_whoever_made_it_and_stays_the_last(start, connect, flush):
    """Killed before anything is struck off: what is given again does not come behind a later commit."""
    server = start(kafka=flush)
    connection = with_topic(server, connect)
    assert connection.ask("KAFKA.COMMIT", "g", "t", 0, 5)[0] == ":"
    settle(server, "g", 5)
    commit_through_kafka(server, "g", 9)
    assert connection.ask("KAFKA.COMMITTED", "g", "t", 0) == (":", 9)
    server.restart(kill=True)
    settle(server, "g", 9)
    connection = connect(server)
    assert connection.ask("KAFKA.COMMITTED", "g", "t", 0) == (":", 9)
    assert connection.ask("KAFKA.COMMIT", "g", "t", 0, 2)[0] == ":"
    settle(server, "g", 2)
    server.restart(kill=True)
    settle(server, "g", 2)
    wait_for(lambda: info_of(connect(server))["unsynced"] == 0)
    assert fetch(server, "g")[1] == 2


def test_commits_of_both_kinds_at_once_end_as_redis_answered(start, connect):
    """Under flush.messages=1 a commit enters the table when it is stored: the order must be that of the log."""
    server = start(kafka={"log.flush.interval.messages": 1})
    connection = with_topic(server, connect)
    connection.ask("KAFKA.COMMIT", "g", "t", 0, 1)
    settle(server, "g", 1)
    kafka = kafka_wire.Connection(server.port_of("kafka"))
    for n in range(2, 60, 2):
        partition = {"index": 0, "offset": n, "epoch": -1, "metadata": ""}
        ask = {"group": "g", "generation": -1, "member": "", "instance": None}
        kafka.send("OffsetCommit", 7, **ask, topics=[{"name": "t", "partitions": [partition]}])
        time.sleep(0.001)
        assert connection.ask("KAFKA.COMMIT", "g", "t", 0, n + 1)[0] == ":"
        kafka.read_frame()
        assert connection.ask("KAFKA.COMMITTED", "g", "t", 0)[1] in (n, n + 1)
    last = connection.ask("KAFKA.COMMITTED", "g", "t", 0)[1]
    server.restart(kill=True)
    settle(server, "g", last)
    kafka.close()


def test_a_rewrite_keeps_positions_that_are_owed(start, connect):
    server = start()
    connection = with_topic(server, connect)
    connection.ask("KAFKA.COMMIT", "g", "t", 0, 41)
    connection.ask("KAFKA.COMMIT", "g", "t", 0, 42)
    connection.ask("BGREWRITEAOF")
    wait_for(lambda: b"aof_rewrite_in_progress:0" in connection.ask("INFO", "persistence")[1])
    server.restart(kill=True)
    settle(server, "g", 42)


def test_kafkas_own_tools_see_and_move_it(start, connect):
    server = start()
    connection = with_topic(server, connect, records=12)
    connection.ask("KAFKA.COMMIT", "g", "t", 0, 5)
    tools = Kafka(server.port_of("kafka"))
    row = next(line.split() for line in tools("consumer-groups", "--describe", "--group", "g").splitlines() if " t " in line)
    assert row[:6] == ["g", "t", "0", "5", "12", "7"]
    tools("consumer-groups", "--group", "g", "--topic", "t", "--reset-offsets", "--to-offset", 3, "--execute")
    assert connection.ask("KAFKA.COMMITTED", "g", "t", 0) == (":", 3)
    segments = (server.data / "kafka").glob("__consumer_offsets-*/*.log")
    dump = tools("dump-log", "--offsets-decoder", "--files", max(segments, key=lambda path: path.stat().st_size))
    assert '"group":"g"' in dump and '"offset":5' in dump and '"offset":3' in dump


def test_a_consumer_without_group_management_goes_on_where_redis_says(start, connect, transact):
    server = start()
    connection = with_topic(server, connect, records=8)
    transact(connection, ["SET", "done", 5], ["KAFKA.COMMIT", "g", "t", 0, 5])
    consumer = Consumer({"bootstrap.servers": f"127.0.0.1:{server.port_of('kafka')}", "group.id": "g",
                         "enable.auto.commit": False, "auto.offset.reset": "earliest"})  # fmt: skip
    consumer.assign([TopicPartition("t", 0)])
    message = consumer.poll(20)
    assert message.error() is None and message.offset() == 5
    consumer.close()


@pytest.mark.parametrize("reactors", [1, 2, 3])
def test_what_must_be_asked_of_the_group_is_known_when_the_step_runs(start, connect, transact, reactors):
    server = start(args=["--reactors", str(reactors)])
    connection = with_topic(server, connect, records=8)
    ask, commit = ["KAFKA.COMMITTED", "g", "t", 0], ["KAFKA.COMMIT", "g", "t", 0]
    assert transact(connection, ask, [*commit, 5], ask) == ("*", [("$", None), (":", 1), (":", 5)])
    settle(server, "g", 5)
    script = "local before = redis.call('KAFKA.COMMITTED', 'g', 't', 0) redis.call('SET', 'before', before) " \
             "redis.call('KAFKA.COMMIT', 'g', 't', 0, before + 1) return redis.call('KAFKA.COMMITTED', 'g', 't', 0)"  # fmt: skip
    assert connection.ask("EVAL", script, 0) == (":", 6)
    settle(server, "g", 6)
    assert transact(connection, ask, ["EVAL", script, 0], ask, ["GET", "before"]) == (
        "*", [(":", 6), (":", 7), (":", 7), ("$", b"6")])  # fmt: skip
    burst = [ask, ["SET", "k", 1], [*commit, 8], ask, ["GET", "k"], ["MULTI"], ask, ["EXEC"]] * 20
    connection.socket.sendall(b"".join(resp.encode(*words) for words in burst))
    replies = [connection.read() for _ in burst]
    assert [reply for reply, words in zip(replies, burst) if words == ask and reply[0] == ":"][1:] == [(":", 8)] * 39
    assert [reply for reply, words in zip(replies, burst) if words == ["EXEC"]] == [("*", [(":", 8)])] * 20


def test_who_goes_while_a_group_is_asked_leaves_nothing_held(start, connect):
    server = start()
    connection = with_topic(server, connect, records=8)
    for n in range(50):
        one = connect(server)
        one.socket.sendall(resp.encode("MULTI") + resp.encode("SET", "k", n) + resp.encode("KAFKA.COMMITTED", "g", "t", 0) +
                           resp.encode("KAFKA.COMMIT", "g", "t", 0, n, "MEMBER", "nobody", 1) + resp.encode("EXEC"))  # fmt: skip
        one.socket.close()
    assert connection.ask("KAFKA.COMMIT", "g", "t", 0, 7)[0] == ":"
    settle(server, "g", 7)
    assert connection.ask("EXISTS", "k") == (":", 0)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_member_may_be_named_and_then_must_be_the_one(start, connect, transact, protocol):
    server = start()
    connection = with_topic(server, connect, records=3)
    extra = {} if protocol == "classic" else {"group.protocol": "consumer"}
    consumer = Consumer({"bootstrap.servers": f"127.0.0.1:{server.port_of('kafka')}", "group.id": "g",
                         "enable.auto.commit": False, "auto.offset.reset": "earliest"} | extra)  # fmt: skip
    consumer.subscribe(["t"])
    first = consumer.poll(20)
    assert first.error() is None and first.offset() == 0
    member = consumer.memberid()
    assert connection.ask("KAFKA.COMMIT", "g", "t", 0, 1)[0] == ":"
    settle(server, "g", 1)
    generations = range(1, 8)  # which one it is, its client does not tell
    replies = [connection.ask("KAFKA.COMMIT", "g", "t", 0, 10 + n, "MEMBER", member, n) for n in generations]
    good = [n for n, reply in zip(generations, replies) if reply[0] == ":"]
    assert len(good) == 1, replies
    stale = "ILLEGAL_GENERATION" if protocol == "classic" else "STALE_MEMBER_EPOCH"
    assert all(reply[1].startswith(stale) for reply in replies if reply[0] == "-")
    assert connection.ask("KAFKA.COMMITTED", "g", "t", 0) == (":", 10 + good[0])
    tag, text = transact(connection, ["SET", "a", 1], ["KAFKA.COMMIT", "g", "t", 0, 2, "MEMBER", "zombie", good[0]])
    assert tag == "-" and "UNKNOWN_MEMBER_ID" in text
    by_name = [*["KAFKA.COMMIT", "g", "t", 0, 20], "MEMBER", member, good[0]]
    tag, replies = transact(connection, ["SET", "a", 1], by_name, by_name)
    assert tag == "*" and [reply[0] for reply in replies] == ["+", ":", ":"]
    watching = connect(server)
    assert watching.ask("WATCH", "a") == ("+", "OK") and connection.ask("SET", "a", 2) == ("+", "OK")
    assert transact(watching, by_name) == ("*", None)
    words = ", ".join(f"'{word}'" for word in by_name)
    assert connection.ask("EVAL", f"redis.call({words}) return redis.call('KAFKA.COMMITTED', 'g', 't', 0)", 0) == (":", 20)
    assert connection.ask("EVAL", f"redis.pcall({words}) error('no')", 0)[0] == "-"
    settle(server, "g", 20)  # nothing is held any more
    consumer.close()


def test_a_topic_that_is_gone_takes_its_positions_with_it(start, connect):
    server = start()
    connection = with_topic(server, connect)
    connection.ask("KAFKA.COMMIT", "g", "t", 0, 1)
    settle(server, "g", 1)
    Kafka(server.port_of("kafka"))("topics", "--delete", "--topic", "t")
    wait_for(lambda: connection.ask("KAFKA.COMMITTED", "g", "t", 0) == ("$", None))
    server.restart(kill=True)
    wait_for(lambda: fetch(server, "g")[0] == 0)
    assert fetch(server, "g")[1] == NO_POSITION
    wait_for(lambda: info_of(connect(server))["depth"] == 0)

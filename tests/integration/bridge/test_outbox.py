"""KAFKA.PRODUCE in one atomic step with keys."""

import time

import pytest

from .conftest import info_of, make_topic, records_of, values_of, wait_for

pytestmark = pytest.mark.trivet_only


def test_a_transaction_replies_with_outbox_numbers_and_delivers_in_order(start, connect, transact):
    server = start()
    connection = connect(server)
    reply = transact(connection, ["SET", "a", 1], ["KAFKA.PRODUCE", "t", "KEY", "k", "one"],
                     ["KAFKA.PRODUCE", "t", "KEY", "k", "HEADER", "h", "x", "HEADER", "h", "y", "two"])  # fmt: skip
    assert reply == ("*", [("+", "OK"), (":", 1), (":", 2)])
    assert connection.ask("KAFKA.WAIT", 5000) == (":", 2)
    found = records_of(server, "t")
    assert [record[:5] for record in found] == [
        (0, 0, b"k", b"one", []),
        (0, 1, b"k", b"two", [("h", b"x"), ("h", b"y")]),
    ]
    assert abs(found[0][5] - time.time() * 1000) < 60_000


def test_alone_it_replies_with_the_place(start, connect):
    connection = connect(start())
    assert connection.ask("KAFKA.PRODUCE", "t", "v") == ("*", [(":", 0), (":", 0)])
    assert connection.ask("KAFKA.PRODUCE", "t", "v") == ("*", [(":", 0), (":", 1)])
    assert connection.ask("KAFKA.WAIT", 0) == (":", 2)


def test_once_suppresses_until_the_key_expires(start, connect):
    server = start()
    connection = connect(server)
    assert connection.ask("KAFKA.PRODUCE", "t", "ONCE", "guard", 4, "first") == ("*", [(":", 0), (":", 0)])
    assert connection.ask("KAFKA.PRODUCE", "t", "ONCE", "guard", 4, "again") == ("$", None)
    assert 0 < connection.ask("PTTL", "guard")[1] <= 4000
    assert connection.ask("GET", "guard") == ("$", b"1")
    time.sleep(4.05)
    assert connection.ask("KAFKA.PRODUCE", "t", "ONCE", "guard", 60, "second") == ("*", [(":", 0), (":", 1)])
    assert values_of(server, "t") == [b"first", b"second"]


def test_once_in_a_transaction(start, connect, transact):
    server = start()
    connection = connect(server)
    command = ["KAFKA.PRODUCE", "t", "ONCE", "guard", 60, "v"]
    assert transact(connection, command, command) == ("*", [(":", 1), ("$", None)])
    assert connection.ask("KAFKA.WAIT", 5000) == (":", 1)
    assert values_of(server, "t") == [b"v"]


@pytest.mark.parametrize(
    "bad, why",
    [
        (["KAFKA.PRODUCE", "t", "PARTITION", 9, "v"], "UNKNOWN_TOPIC_OR_PARTITION"),
        (["KAFKA.PRODUCE", "no such/topic", "v"], "INVALID_TOPIC_EXCEPTION"),
        (["KAFKA.PRODUCE", "__consumer_offsets", "v"], "INVALID_TOPIC_EXCEPTION"),
        (["KAFKA.PRODUCE", "t", "x" * 1_100_000], "MESSAGE_TOO_LARGE"),
        (["KAFKA.PRODUCE", "new", "x" * 1_100_000], "MESSAGE_TOO_LARGE"),
        (["KAFKA.PRODUCE", "t", "NONSENSE", "v"], "ERR syntax error"),
        (["KAFKA.PRODUCE", "t", "ONCE", "k", 0, "v"], "ERR ONCE"),
    ],
)
def test_a_precondition_that_fails_leaves_nothing_half_done(start, connect, transact, bad, why):
    server = start()
    connection = connect(server)
    connection.ask("KAFKA.PRODUCE", "t", "before")
    good = ["KAFKA.PRODUCE", "t", "never"]
    tag, text = transact(connection, ["SET", "a", 1], good, bad, ["SET", "b", 1])
    assert tag == "-" and text.startswith("EXECABORT") and "command 3 of 4 (KAFKA.PRODUCE)" in text and why in text, text
    assert connection.ask("EXISTS", "a", "b", "k") == (":", 0)
    assert connection.ask("KAFKA.PRODUCE", "t", "after")[0] == "*"
    assert values_of(server, "t") == [b"before", b"after"]
    assert info_of(connection)["next-number"] == 1


def test_a_topic_that_may_not_be_created(start, connect, transact):
    connection = connect(start(kafka={"auto.create.topics.enable": "false"}))
    tag, text = transact(connection, ["SET", "a", 1], ["KAFKA.PRODUCE", "absent", "v"])
    assert tag == "-" and "UNKNOWN_TOPIC_OR_PARTITION" in text
    assert connection.ask("EXISTS", "a") == (":", 0)


def test_watch_that_fails_produces_nothing(start, connect, transact):
    server = start()
    one, two = connect(server), connect(server)
    one.ask("WATCH", "a")
    two.ask("SET", "a", "other")
    assert transact(one, ["SET", "a", "mine"], ["KAFKA.PRODUCE", "t", "v"]) == ("*", None)
    assert info_of(one)["next-number"] == 1


def test_an_aborted_queue_produces_nothing(start, connect):
    connection = connect(start())
    connection.ask("MULTI")
    connection.ask("KAFKA.PRODUCE", "t", "v")
    assert connection.ask("NOSUCH")[0] == "-"
    assert connection.ask("EXEC")[1].startswith("EXECABORT")
    assert info_of(connection)["next-number"] == 1


@pytest.mark.parametrize("kill", [True, False], ids=["killed", "stopped"])
def test_a_restart_neither_loses_nor_doubles(start, connect, transact, kill):
    """Without ACK in the file every record is given to its partition again, far more than five of them."""
    server = start(kafka={"num.partitions": 3})
    connection = connect(server)
    sent = 0
    for _ in range(3):
        for _ in range(40):
            assert transact(connection, ["SET", f"k{sent}", 1], ["KAFKA.PRODUCE", "t", "KEY", sent, sent])[0] == "*"
            sent += 1
        server.restart(kill=kill)
        connection = connect(server)
    connection.ask("KAFKA.PRODUCE", "t", "ONCE", "last", 60, "last")
    found = values_of(server, "t", 3)
    assert sorted(found) == sorted([b"%d" % n for n in range(sent)] + [b"last"])
    assert connection.ask("DBSIZE") == (":", sent + 1)


def test_each_partition_keeps_the_order_over_restarts(start, connect, transact):
    server = start(kafka={"num.partitions": 2})
    connection = connect(server)
    for number in range(60):
        if number % 20 == 19:
            server.restart(kill=True)
            connection = connect(server)
        transact(connection, ["INCR", "n"], ["KAFKA.PRODUCE", "t", "PARTITION", number % 2, number])
    assert connection.ask("KAFKA.WAIT", 5000)[0] == ":"
    wait_for(lambda: info_of(connection)["depth"] == 0)
    found = [int(value) for value in values_of(server, "t", 2)]
    assert found == list(range(0, 60, 2)) + list(range(1, 60, 2))


def test_a_delayed_record_comes_when_due_and_survives_a_restart(start, connect):
    server = start()
    connection = connect(server)
    due = int(time.time() * 1000) + 1500
    assert connection.ask("KAFKA.PRODUCE", "t", "AT", due + 200, "later") == (":", 1)
    assert connection.ask("KAFKA.PRODUCE", "t", "AT", due, "late") == (":", 2)
    assert connection.ask("KAFKA.PRODUCE", "t", "now")[0] == "*"
    listed = connection.ask("KAFKA.OUTBOX", "LIST")[1]
    assert [entry[1][4] for entry in listed] == [("$", b"delayed")] * 2 and listed[1][1][5] == (":", due)
    server.restart(kill=True)
    connection = connect(server)
    assert info_of(connection)["delayed"] == 2
    assert values_of(server, "t") == [b"now"]
    wait_for(lambda: info_of(connection)["depth"] == 0)
    assert time.time() * 1000 >= due
    found = records_of(server, "t")
    assert [record[3] for record in found] == [b"now", b"late", b"later"]
    assert found[1][5] == due
    server.restart(kill=True)
    assert values_of(server, "t") == [b"now", b"late", b"later"]


def test_a_rewrite_keeps_what_is_owed_and_drops_what_is_done(start, connect, transact):
    server = start()
    connection = connect(server)
    for number in range(200):
        transact(connection, ["SET", "k", number], ["KAFKA.PRODUCE", "t", "x" * 1000])
    wait_for(lambda: info_of(connection)["depth"] == 0)
    owed = 0
    while info_of(connection)["depth"] == 0:  # a slow machine delivers it before the rewrite is over: one that is later due
        owed += 1
        due = int(time.time() * 1000) + 1000 * 2**owed
        connection.ask("KAFKA.PRODUCE", "t", "AT", due, "HEADER", "a", "b", "KEY", "", "owed")
        wait_for(lambda: info_of(connection)["unsynced"] == 0)
        connection.ask("BGREWRITEAOF")
        wait_for(lambda: b"aof_rewrite_in_progress:0" in connection.ask("INFO", "persistence")[1])
    size = sum(path.stat().st_size for path in (server.data / "redis" / "appendonlydir").glob("*.aof"))
    assert size < 2000, "delivered records are still in the file"
    server.restart(kill=True)
    connection = connect(server)
    assert connection.ask("GET", "k") == ("$", b"199")
    wait_for(lambda: info_of(connection)["depth"] == 0)
    found = records_of(server, "t")
    assert len(found) == 200 + owed and found[-1][2:5] == (b"", b"owed", [("a", b"b")])


def test_wait_counts_this_connections_records(start, connect, transact):
    server = start()
    one, two = connect(server), connect(server)
    assert one.ask("KAFKA.WAIT", 100) == (":", 0)
    transact(one, *[["KAFKA.PRODUCE", "t", n] for n in range(5)])
    assert one.ask("KAFKA.WAIT", 5000) == (":", 5)
    assert two.ask("KAFKA.WAIT", 5000) == (":", 0)


def test_without_an_append_only_file_it_still_delivers(start, connect, transact):
    server = start(redis={"appendonly": "no"})
    connection = connect(server)
    transact(connection, ["SET", "a", 1], ["KAFKA.PRODUCE", "t", "v"])
    assert connection.ask("KAFKA.WAIT", 5000) == (":", 1)
    assert values_of(server, "t") == [b"v"]


def test_the_journal_is_not_for_clients(start, connect):
    connection = connect(start())
    assert connection.ask("KAFKA.JOURNAL", "ACK", 1, 2)[0] == "-"


def test_a_script_is_one_step_too(start, connect):
    server = start()
    connection = connect(server)
    script = """redis.call('SELECT', 3) redis.call('SET', KEYS[1], ARGV[1])
                local a = redis.call('KAFKA.PRODUCE', 't', 'KEY', KEYS[1], ARGV[1])
                return {a, redis.call('KAFKA.PRODUCE', 't', 'ONCE', 'guard', 60, 'second')}"""
    assert connection.ask("EVAL", script, 1, "k", "v") == ("*", [(":", 1), (":", 2)])
    assert connection.ask("EVAL", script, 1, "k", "w") == ("*", [(":", 3), ("$", None)])
    assert connection.ask("KAFKA.WAIT", 5000) == (":", 3)
    server.restart(kill=True)
    connection = connect(server)
    assert values_of(server, "t") == [b"v", b"second", b"w"]
    assert connection.ask("SELECT", 3) == ("+", "OK") and connection.ask("GET", "k") == ("$", b"w")


@pytest.mark.parametrize(
    "bad, why",
    [
        (["absent", "v"], "UNKNOWN_TOPIC_OR_PARTITION"),
        (["t", "PARTITION", "9", "v"], "UNKNOWN_TOPIC_OR_PARTITION"),
        (["t", "x" * 1_100_000], "MESSAGE_TOO_LARGE"),
        (["t", "ONCE", "k", "0", "v"], "ERR ONCE"),
    ],
)
def test_what_kafka_refuses_raises_in_a_script(start, connect, bad, why):
    server = start(kafka={"auto.create.topics.enable": "false"})
    make_topic(server, "t")
    connection = connect(server)
    raises = "redis.call('KAFKA.PRODUCE', unpack(ARGV)) redis.call('SET', 'a', 1)"
    tag, text = connection.ask("EVAL", raises, 0, *bad)
    assert tag == "-" and why in text, text
    assert connection.ask("EXISTS", "a", "k") == (":", 0)
    asks = "local r = redis.pcall('KAFKA.PRODUCE', unpack(ARGV)) redis.call('SET', 'a', r.err) return 'went on'"
    assert connection.ask("EVAL", asks, 0, *bad) == ("$", b"went on")
    assert why.encode() in connection.ask("GET", "a")[1]
    assert info_of(connection)["next-number"] == 1 and values_of(server, "t") == []


def test_what_fails_behind_a_record_takes_nothing_back(start, connect, transact):
    """As in Redis: the other commands of a transaction and the earlier ones of a script stand, and stay one step."""
    server = start()
    connection = connect(server)
    connection.ask("SET", "text", "no number")
    reply = transact(connection, ["SET", "a", 1], ["KAFKA.PRODUCE", "t", "one"], ["INCR", "text"], ["SET", "b", 1])
    assert [tag for tag, _ in reply[1]] == ["+", ":", "-", "+"]
    script = "redis.call('SET', 'c', 1) redis.call('KAFKA.PRODUCE', 't', 'two') redis.call('INCR', 'text')"
    assert connection.ask("EVAL", script, 0)[0] == "-"
    server.restart(kill=True)
    connection = connect(server)
    assert connection.ask("EXISTS", "a", "b", "c") == (":", 3)
    wait_for(lambda: info_of(connection)["depth"] == 0)
    assert values_of(server, "t") == [b"one", b"two"]


def test_a_delayed_record_of_a_transaction_belongs_to_it(start, connect, transact):
    server = start()
    connection = connect(server)
    due = int(time.time() * 1000) + 800
    transact(connection, ["SET", "a", 1], ["KAFKA.PRODUCE", "t", "AT", due, "late"])
    listed = connection.ask("KAFKA.OUTBOX", "LIST")[1]
    assert [word for _, word in listed[0][1]] == [1, b"t", None, None, b"delayed", due]
    server.restart(kill=True)
    connection = connect(server)
    assert connection.ask("EXISTS", "a") == (":", 1)
    wait_for(lambda: info_of(connection)["depth"] == 0)
    assert values_of(server, "t") == [b"late"]


def test_a_transaction_that_fills_the_outbox_ends_its_work(start, connect, transact):
    server = start(kafka={"auto.create.topics.enable": "false"}, trivet={"outbox-bytes-max": 3000})
    connection = connect(server)
    make_topic(server, "t")
    steps = [["KAFKA.PRODUCE", "t", "x" * 1000], ["INCR", "n"], ["KAFKA.COMMIT", "g", "t", 0, 1]] * 4
    tag, replies = transact(connection, *steps)
    assert tag == "*" and [reply[0] for reply in replies] == [":"] * len(steps), replies
    wait_for(lambda: info_of(connection)["bytes"] == 0)
    assert values_of(server, "t") == [b"x" * 1000] * 4
    assert connection.ask("KAFKA.COMMITTED", "g", "t", 0) == (":", 1)


def test_what_the_command_refuses_the_transaction_refuses_before(start, connect, transact):
    server = start()
    connection = connect(server)
    make_topic(server, "t")
    commit = ["KAFKA.COMMIT", "g", "t", 0, 1, *["METADATA", "m"] * 3]
    assert connection.ask(*commit) == ("-", "ERR syntax error")
    assert transact(connection, ["SET", "a", 1], commit)[0] == "-"
    assert connection.ask("EXISTS", "a") == (":", 0)


def test_a_paused_script_stays_whole_while_the_outbox_works(start, connect, transact):
    """Records of before are delivered, synced and struck off while a script is halfway: killed, none of it is there."""
    server = start(redis={"busy-reply-threshold": 50})
    connection = connect(server)
    transact(connection, ["SET", "before", 1], ["KAFKA.PRODUCE", "t", "before"])
    script = "redis.call('SET', 'half', 1) redis.call('KAFKA.PRODUCE', 't', 'half') while true do end"
    connection.send("EVAL", script, 0)
    time.sleep(1.5)
    server.restart(kill=True)
    connection = connect(server)
    assert connection.ask("EXISTS", "before", "half") == (":", 1)
    connection.ask("KAFKA.PRODUCE", "t", "ONCE", "last", 60, "last")
    assert values_of(server, "t") == [b"before", b"last"]

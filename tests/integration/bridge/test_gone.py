"""Topics that are yet to be made, or are made anew with fewer partitions, while records for them wait; and a full outbox."""

import pytest
from confluent_kafka.admin import AdminClient

from harness.process import ServerError

from .conftest import info_of, make_topic, records_of, values_of, wait_for
from .test_commit import settle

pytestmark = pytest.mark.trivet_only


def delete_topic(server, name):
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{server.port_of('kafka')}"})
    for future in admin.delete_topics([name]).values():
        future.result(30)


def test_a_transaction_commits_a_position_of_the_topic_that_it_makes(start, connect, transact):
    server = start()
    connection = connect(server)
    produced = ["KAFKA.PRODUCE", "new", "v"]
    assert transact(connection, produced, ["KAFKA.COMMIT", "g", "new", 0, 1]) == ("*", [(":", 1), (":", 2)])
    settle(server, "g", 1, "new")
    assert values_of(server, "new") == [b"v"]


def test_a_script_commits_a_position_of_the_topic_that_it_makes(start, connect):
    server = start()
    connection = connect(server)
    script = "redis.call('KAFKA.PRODUCE', 'new', 'v') return redis.call('KAFKA.COMMIT', 'g', 'new', 0, 1)"
    assert connection.ask("EVAL", script, 0) == (":", 2)
    settle(server, "g", 1, "new")


def test_a_position_of_a_topic_that_nothing_makes_is_still_refused(start, connect, transact):
    server = start()
    connection = connect(server)
    kind, text = transact(connection, ["SET", "k", "v"], ["KAFKA.COMMIT", "g", "none", 0, 1])
    assert (kind, b"UNKNOWN_TOPIC_OR_PARTITION" in str(text).encode()) == ("-", True)
    kind, text = transact(connection, ["KAFKA.PRODUCE", "new", "v"], ["KAFKA.COMMIT", "g", "new", 7, 1])
    assert (kind, b"UNKNOWN_TOPIC_OR_PARTITION" in str(text).encode()) == ("-", True)


def held_up(server, connection, *produced):
    """Records for partitions 0 to 3 of t, which is then made anew with two: they were delayed meanwhile."""
    at = int(connection.ask("TIME")[1][0][1]) * 1000 + 1500
    for words in produced:
        assert connection.ask("KAFKA.PRODUCE", "t", "AT", at, *words)[0] == ":"
    delete_topic(server, "t")
    make_topic(server, "t", 2)


def test_records_whose_partition_is_gone_go_where_their_key_says_now(start, connect):
    server = start()
    connection = connect(server)
    make_topic(server, "t", 4)
    held_up(server, connection, *(["KEY", f"k{n}", f"v{n}"] for n in range(40)))
    connection.ask("KAFKA.PRODUCE", "t", "KEY", "other", "x")
    wait_for(lambda: info_of(connection)["depth"] == 0)
    got = records_of(server, "t", 2)
    assert sorted(record[3] for record in got) == sorted([b"x"] + [b"v%d" % n for n in range(40)])
    assert info_of(connection)["rerouted"] > 5
    assert "records of partitions that are gone go to others" in server.log_tail(50)


@pytest.mark.parametrize("drops", [False, True])
def test_one_whose_client_named_the_partition_waits_for_a_word(start, connect, drops):
    server = start()
    connection = connect(server)
    make_topic(server, "t", 4)
    held_up(server, connection, ["PARTITION", 3, "KEY", "k", "named"], ["PARTITION", 0, "behind"])
    wait_for(lambda: b"KAFKA.REROUTE" in info_of(connection)["last-error"])
    server.restart(kill=True)
    connection = connect(server)
    wait_for(lambda: b"KAFKA.REROUTE" in info_of(connection)["last-error"])
    assert info_of(connection)["depth"] == 2
    assert connection.ask("KAFKA.REROUTE", "t", *(["DROP"] if drops else [])) == (":", 1)
    wait_for(lambda: info_of(connection)["depth"] == 0)
    assert sorted(values_of(server, "t", 2)) == [b"behind"] if drops else [b"behind", b"named"]
    assert info_of(connection)["dropped" if drops else "rerouted"] == 1


def test_reroute_says_what_it_cannot(start, connect):
    server = start()
    connection = connect(server)
    assert connection.ask("KAFKA.REROUTE", "none")[0] == "-"
    make_topic(server, "t")
    assert connection.ask("KAFKA.REROUTE", "t") == (":", 0)
    assert connection.ask("KAFKA.REROUTE", "t", "BOGUS")[0] == "-"


def test_a_script_that_has_written_is_not_stopped_by_a_full_outbox(start, connect):
    server = start(trivet={"outbox-bytes-max": 4096}, kafka={"auto.create.topics.enable": "false"})
    connection = connect(server)
    make_topic(server, "t")
    at = 4102444800000
    assert connection.ask("KAFKA.PRODUCE", "t", "AT", at, "x" * 4096)[0] == ":"
    assert connection.ask("KAFKA.PRODUCE", "t", "AT", at, "y")[0] == "-"
    script = "redis.call('SET', 'k', ARGV[1]) return redis.call('KAFKA.PRODUCE', 't', 'AT', ARGV[2], 'v')"
    assert connection.ask("EVAL", script, 0, "written", at)[0] == ":"
    assert connection.ask("GET", "k") == ("$", b"written")
    first = "return redis.call('KAFKA.PRODUCE', 't', 'AT', ARGV[1], 'v')"
    assert connection.ask("EVAL", first, 0, at)[0] == "-"
    much = "redis.call('SET', 'k', 'v') for i = 1, 100 do redis.call('KAFKA.PRODUCE', 't', 'AT', ARGV[1], 'v') end"
    kind, text = connection.ask("EVAL", much, 0, at)
    assert (kind, "the outbox is full" in str(text)) == ("-", True)  # there is a bound all the same


def test_commands_tell_their_arguments(start, connect):
    server = start()
    connection = connect(server)
    docs = connection.ask("COMMAND", "DOCS", "kafka.produce", "kafka.commit", "kafka.outbox")[1]
    text = str(docs)
    for word in ("arguments", "topic", "PARTITION", "HEADER", "ONCE", "seconds", "METADATA", "generation", "FEEDS"):
        assert word in text, word
    assert any("KAFKA.REROUTE" in str(line) for line in connection.ask("KAFKA.HELP")[1])


def test_a_bound_of_an_outbox_that_is_not_there_is_refused(start):
    with pytest.raises(ServerError) as refused:
        start(redis={"enabled": "no"}, trivet={"outbox-bytes-max": 4096})
    assert "there is no outbox while the Redis protocol is off" in str(refused.value)

"""Requests that take long by nature, of control and of kafka: they go on in later turns, so that no turn of a loop computes for more
than 10 ms. Turns of more than 50 ms are counted, by CPU time: so much is sent that one turn for all of it would take far longer."""

import contextlib
import time

import pytest

from harness.trivet import Trivet
from wire import kafka

pytestmark = pytest.mark.trivet_only

GROUPS = 80_000
GROUPS_AT_ONCE = 2_000
RESULTS = 8_000  # of 5 KB each


@contextlib.contextmanager
def no_long_turn(server):
    """None of the loops' turns computes for more than 50 ms meanwhile."""
    before = server.metric("trivet_turns_over_50ms_total")
    yield
    turns = server.metric("trivet_turns_over_50ms_total") - before
    assert turns == 0, f"{turns:.0f} turns of a loop took over 50 ms:\n{server.log_tail(20)}"


@pytest.fixture(scope="module")
def server():
    with Trivet() as one:
        yield one.start()


@pytest.fixture
def broker(server):
    with kafka.Connection(server.port_of("kafka")) as connection:
        yield connection


def make_topics(broker, **partitions):
    asked = [{"name": name, "partitions": count, "replication": 1, "assignments": [], "configs": []}
             for name, count in partitions.items()]  # fmt: skip
    reply = broker.ask("CreateTopics", 5, topics=asked, timeout=60_000, validate=False)
    assert {one["error"] for one in reply["topics"]} == {0}


def delete_topics(broker, *names):
    reply = broker.ask("DeleteTopics", 3, topics=names, timeout=60_000)
    assert {one["error"] for one in reply["topics"]} == {0}


# ---- groups


def commit(broker, group, topic):
    topics = [{"name": topic, "partitions": [{"index": 0, "offset": 7, "epoch": -1, "metadata": ""}]}]
    return broker.send("OffsetCommit", 7, group=group, generation=-1, member="", instance=None, topics=topics)


def committed(broker, group, topic):
    reply = broker.ask("OffsetFetch", 5, group=group, topics=[{"name": topic, "partitions": [0]}])
    assert reply["error"] == 0
    return reply["topics"][0]["partitions"][0]["offset"]


@pytest.fixture
def groups(broker):
    """Very many, with an offset of one topic each."""
    make_topics(broker, forgotten=1)
    while broker.ask("FindCoordinator", 2, key="group-0", type=0)["error"] != 0:
        time.sleep(0.05)
    while broker.ask("OffsetFetch", 5, group="group-0", topics=[])["error"] != 0:
        time.sleep(0.05)
    names = [f"group-{number}" for number in range(GROUPS)]
    for at in range(0, GROUPS, GROUPS_AT_ONCE):
        for sent in [commit(broker, name, "forgotten") for name in names[at : at + GROUPS_AT_ONCE]]:
            reply = broker.decode("OffsetCommit", 7, sent, broker.read_frame())
            assert reply["topics"][0]["partitions"][0]["error"] == 0
    return names


def test_a_topic_of_very_many_groups_is_listed_and_forgotten_in_slices(server, broker, groups):
    """A topic that gets the name meanwhile is another: what is committed for that stays."""
    with no_long_turn(server):
        assert {one["group"] for one in broker.ask("ListGroups", 4, states=[])["groups"]} == set(groups)
        delete_topics(broker, "forgotten")
    with kafka.Connection(server.port_of("kafka")) as other:
        make_topics(other, forgotten=1)
        sent = commit(other, groups[-1], "forgotten")
        other.decode("OffsetCommit", 7, sent, other.read_frame())
        while any(committed(other, name, "forgotten") != -1 for name in (groups[0], groups[-2])):
            time.sleep(0.05)
        assert committed(other, groups[-1], "forgotten") == 7


# ---- answers


def test_an_answer_of_tens_of_megabytes_is_written_in_slices(server, broker):
    """A result for each resource, all the same."""
    make_topics(broker, described=1)
    resource = {"type": 2, "name": "described", "keys": None}

    def ask(count):
        broker.send("DescribeConfigs", 3, resources=[resource] * count, synonyms=True, documentation=True)
        return broker.read_frame()

    one = ask(1)
    with no_long_turn(server):
        many = ask(RESULTS)
    head = 12  # correlation, throttle time, count
    assert len(many) == head + RESULTS * (len(one) - head) and many[head:] == one[head:] * RESULTS
    assert broker.ask("Metadata", 1, topics=["described"])["topics"][0]["error"] == 0


def test_who_leaves_while_his_answer_is_written_takes_nobody_along(server, broker):
    make_topics(broker, left=1)
    resources = [{"type": 2, "name": "left", "keys": None}] * RESULTS
    with no_long_turn(server):
        leavers = [kafka.Connection(server.port_of("kafka")) for _ in range(4)]
        for one in leavers:
            one.send("DescribeConfigs", 3, resources=resources, synonyms=True, documentation=True)
        for one in leavers:
            one.close()
        for _ in range(50):
            assert broker.ask("Metadata", 1, topics=["left"])["topics"][0]["error"] == 0

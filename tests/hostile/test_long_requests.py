"""Requests that take long by nature, of control and of kafka: they go on in later turns, so that no turn of a loop computes for more
than 10 ms. Turns of more than 50 ms are counted, by CPU time: so much is sent that one turn for all of it would take far longer."""

import contextlib
import re
import select
import struct
import time

import pytest

from harness.process import exchange
from harness.trivet import Trivet
from wire import jute, kafka

pytestmark = pytest.mark.trivet_only

GROUPS = 80_000
GROUPS_AT_ONCE = 2_000
PARTS = 65_000  # of a multi
EPHEMERALS = 250_000
CHILDREN = 45_000
CHILDREN_LONG = 1_000_000
WATCHES = 500_000
RESULTS = 8_000  # of 5 KB each


@contextlib.contextmanager
def no_long_turn(server):
    """None of the loops' turns computes for more than 50 ms meanwhile."""
    before = server.stalls(over="50ms")
    yield
    turns = server.stalls(over="50ms") - before
    assert turns == 0, f"{turns} turns of a loop took too long:\n{server.log_tail(20)}"


@pytest.fixture(scope="module")
def server():
    with Trivet({"zookeeper": {"jute.maxbuffer": 32 << 20, "4lw.commands.whitelist": "*"}}) as one:
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


def test_a_produce_of_many_megabytes_is_stored_in_slices(server, broker):
    """Two at once, so that the second begins behind the first one's memory; what is stored is what was sent."""
    make_topics(broker, large=90)
    records = [kafka.batch([bytes([value]) * 1_000_000]) for value in (1, 2)]
    topics = [[{"name": "large", "partitions": [{"index": index, "records": one} for index in range(90)]}] for one in records]
    with no_long_turn(server):
        sent = [broker.send("Produce", 9, transaction=None, acks=-1, timeout=60_000, topics=one) for one in topics]
        for each in sent:
            reply = broker.decode("Produce", 9, each, broker.read_frame())
            assert {part["error"] for part in reply["topics"][0]["partitions"]} == {0}
    for index in (0, 89):
        part = {"index": index, "leader_epoch": -1, "offset": 0, "start": -1, "max": 3 << 20}
        reply = broker.ask("Fetch", 11, replica=-1, wait=100, min=1, max=3 << 20, isolation=0, session=0, epoch=0, forgotten=[],
                           rack="", topics=[{"name": "large", "partitions": [part]}])  # fmt: skip
        found = [value for batch in kafka.batches(reply["topics"][0]["partitions"][0]["records"]) for _, _, value in kafka.records(batch)]
        assert found == [b"\x01" * 1_000_000, b"\x02" * 1_000_000]
    delete_topics(broker, "large")


# ---- the tree


@pytest.fixture
def keeper(server):
    session = jute.Connection(server.port_of("zookeeper"), timeout=60_000)
    yield session
    session.end()


@pytest.fixture
def other(server):
    session = jute.Connection(server.port_of("zookeeper"), timeout=60_000)
    yield session
    session.end()


def fill(session, prefix, count, flags=0):
    for at in range(0, count, PARTS):
        parts = [(jute.CREATE, jute.create(f"{prefix}{number}", b"", flags)) for number in range(at, min(at + PARTS, count))]
        assert session.ask(jute.MULTI, jute.multi(parts))[2] == 0


def children(session, path):
    return jute.Reader(session.ask(jute.EXISTS, jute.read(path))[3]).stat()["children"]


def answered(session):
    return select.select([session.socket], [], [], 0)[0] != []


def apply_meanwhile(keeper, other, parts, may_see):
    """Until the multi is answered the other one sees all of it or nothing."""
    keeper.send(jute.MULTI, jute.multi(parts))
    while not answered(keeper):
        assert children(other, "/long") in may_see
    return jute.parse_multi(keeper.read_reply()[3])


def test_a_multi_of_very_many_parts_is_applied_in_slices_that_nobody_sees(server, keeper, other):
    assert keeper.ask(jute.CREATE, jute.create("/long"))[2] == 0
    watchers = [other] + [jute.Connection(server.port_of("zookeeper"), timeout=60_000) for _ in range(3)]
    for watcher in watchers:  # recursive: each part is an event, too
        assert watcher.ask(jute.ADD_WATCH, jute.watch("/long", 1))[2] == 0
    creates = [(jute.CREATE, jute.create(f"/long/{number}")) for number in range(PARTS)]
    deletes = [(jute.DELETE, jute.delete(f"/long/{number}")) for number in range(PARTS)]
    with no_long_turn(server):
        results = apply_meanwhile(keeper, other, creates[:-1] + [(jute.CHECK, jute.delete("/nowhere"))], {0})
        assert [one[1] for one in results[-2:]] == [0, -101]
        assert {kind for kind, _, _ in apply_meanwhile(keeper, other, creates, {0, PARTS})} == {jute.CREATE}
        assert children(other, "/long") == PARTS
        apply_meanwhile(keeper, other, deletes, {0, PARTS})
        assert children(other, "/long") == 0
    for watcher in watchers:
        assert len(watcher.take_events()) == 2 * PARTS
    for watcher in watchers[1:]:
        watcher.end()


def test_a_session_with_very_many_ephemeral_nodes_ends_in_slices_that_nobody_sees(server, keeper, other):
    assert keeper.ask(jute.CREATE, jute.create("/held"))[2] == 0
    holder = jute.Connection(server.port_of("zookeeper"), timeout=60_000)
    fill(holder, "/held/", EPHEMERALS, jute.EPHEMERAL)
    with no_long_turn(server):
        holder.send(jute.CLOSE_SESSION)
        while not answered(holder):
            assert children(other, "/held") in (0, EPHEMERALS)
        assert holder.read_reply()[2] == 0
        assert children(other, "/held") == 0
    holder.close()


def watches(server):
    told = exchange(server.port_of("zookeeper"), b"mntr").decode()
    return int(re.search(r"zk_watch_count\s+(\d+)", told)[1])


def test_a_connection_with_very_many_watches_goes_in_slices_and_hears_nothing_more(server, other):
    watcher = jute.Connection(server.port_of("zookeeper"), timeout=60_000)
    for at in range(0, WATCHES, WATCHES // 10):
        paths = [f"/none/{number}" for number in range(at, at + WATCHES // 10)]
        assert watcher.ask(jute.SET_WATCHES, jute.set_watches(1 << 40, [], paths, []), xid=jute.SET_WATCHES_XID)[2] == 0
    assert watches(server) == WATCHES
    with no_long_turn(server):
        watcher.close()
        for path in ("/none", f"/none/{WATCHES - 1}", f"/none/{WATCHES // 2}"):
            assert other.ask(jute.CREATE, jute.create(path))[2] == 0
        while watches(server):
            time.sleep(0.02)


@pytest.fixture(scope="module")
def crowd(server):
    """The path of a node with very many children."""
    session = jute.Connection(server.port_of("zookeeper"), timeout=60_000)
    assert session.ask(jute.CREATE, jute.create("/crowd"))[2] == 0
    fill(session, "/crowd/", CHILDREN)
    session.end()
    return "/crowd"


@pytest.mark.soak
def test_a_million_children_are_listed_in_slices(server, keeper):
    assert keeper.ask(jute.CREATE, jute.create("/million"))[2] == 0
    fill(keeper, "/million/", CHILDREN_LONG)
    with no_long_turn(server):
        plain = jute.Reader(keeper.ask(jute.GET_CHILDREN, jute.read("/million"))[3])
        with_stat = jute.Reader(keeper.ask(jute.GET_CHILDREN2, jute.read("/million"))[3])
    names = plain.texts()
    assert len(names) == CHILDREN_LONG == len(set(names)) and with_stat.texts() == names
    assert with_stat.stat()["children"] == CHILDREN_LONG
    assert plain.rest() == with_stat.rest() == b""


def test_a_long_list_is_of_one_moment_and_its_watch_is_left_then(server, keeper, other, crowd):
    """Whatever comes and goes while it is put together; who is told of the change was told of the list before."""
    for number in range(12):
        keeper.send(jute.GET_CHILDREN2, jute.read(crowd, True))
        for at in range(number):
            assert other.ask(jute.CREATE, jute.create(f"{crowd}/new-{number}-{at}"))[2] == 0
            refused = [(jute.DELETE, jute.delete(f"{crowd}/{at}")), (jute.CHECK, jute.delete("/nowhere"))]
            assert other.ask(jute.MULTI, jute.multi(refused))[2] == 0
            assert other.ask(jute.DELETE, jute.delete(f"{crowd}/new-{number}-{at}"))[2] == 0
        reply = jute.Reader(keeper.read_reply()[3])
        told = keeper.events
        names = reply.texts()
        assert len(names) == len(set(names)) == reply.stat()["children"] and set(names) >= {"0", str(CHILDREN - 1)}
        assert not told, "an event came before the list that it follows"
        assert other.ask(jute.CREATE, jute.create(f"{crowd}/last"))[2] == other.ask(jute.DELETE, jute.delete(f"{crowd}/last"))[2] == 0
        assert len(keeper.take_events()) == 1


def test_a_crowd_that_asks_for_a_long_list_is_answered(server, crowd):
    sessions = [jute.Connection(server.port_of("zookeeper"), timeout=60_000) for _ in range(30)]
    for session in sessions:
        session.send(jute.GET_CHILDREN, jute.read(crowd))
    sessions.pop(3).close()  # while it waits, or while its list is put together
    sessions.pop(0).close()
    for session in sessions:
        assert struct.unpack_from(">i", session.read_reply()[3])[0] == CHILDREN
        session.end()


def test_requests_behind_a_long_list_keep_their_order(server, keeper, crowd):
    listed = keeper.send(jute.GET_CHILDREN, jute.read(crowd))
    created = keeper.send(jute.CREATE, jute.create(f"{crowd}/behind"))
    again = keeper.send(jute.GET_CHILDREN, jute.read(crowd))
    replies = [keeper.read_reply() for _ in range(3)]
    assert [reply[0] for reply in replies] == [listed, created, again]
    assert [struct.unpack_from(">i", replies[at][3])[0] for at in (0, 2)] == [CHILDREN, CHILDREN + 1]
    assert keeper.ask(jute.DELETE, jute.delete(f"{crowd}/behind"))[2] == 0
    keeper.send(jute.CREATE, jute.create(f"{crowd}/before"))
    listed = keeper.send(jute.GET_CHILDREN, jute.read(crowd))
    keeper.send(jute.DELETE, jute.delete(f"{crowd}/before"))
    replies = [keeper.read_reply() for _ in range(3)]
    assert replies[1][0] == listed and struct.unpack_from(">i", replies[1][3])[0] == CHILDREN + 1

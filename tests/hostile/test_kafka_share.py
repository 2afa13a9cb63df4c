"""Members of share groups that are out to hurt: offsets that nobody has, answers without end, sessions without number. They are refused
or answered, and nobody else waits for them."""

import itertools
import time

import pytest

from conformance.kafka.share_cases import ACCEPT, RELEASE, Member, ack, begin
from conformance.kafka.peer import Peer
from wire import kafka

pytestmark = [pytest.mark.trivet_only, pytest.mark.usefixtures("short_turns")]
numbers = itertools.count(time.time_ns())
INVALID_REQUEST, INVALID_RECORD_STATE, LIMIT_REACHED = 42, 121, 133
LEAST, MOST = -(1 << 63), (1 << 63) - 1


@pytest.fixture
def peer(ports):
    one = Peer(ports["kafka"], f"hurt-{next(numbers)}")
    yield one
    one.close()


def errors(reply):
    return [part["error"] for topic in reply["topics"] for part in topic["partitions"]]


@pytest.mark.parametrize(
    "first, last, expected",
    [
        (LEAST, LEAST, INVALID_REQUEST), (-1, -1, 0), (LEAST, MOST, INVALID_REQUEST), (MOST, MOST, INVALID_REQUEST), (MOST, LEAST, INVALID_REQUEST),
        (0, MOST, INVALID_REQUEST), (-1, 0, 0), (1 << 62, MOST - 1, INVALID_REQUEST),
    ],
)  # fmt: skip
def test_offsets_at_the_ends_of_the_world(peer, first, last, expected):
    member = begin(peer)
    member.settled_fetch()
    assert errors(member.acknowledge(ack(first, last, ACCEPT))) == [expected]
    assert errors(member.acknowledge(ack(1, 9, ACCEPT))) == [0]


def test_limits_of_every_size(peer):
    member = begin(peer)
    member.settled_fetch()
    for most, records, batches, minimum in itertools.product((-1, 0, 1, 0x7FFFFFFF), repeat=4):
        reply = member.fetch(most=most, records=records, batches=batches, minimum=minimum)
        assert reply["error"] == 0
        member.acknowledge(ack(0, 9, RELEASE))


def test_an_answer_for_each_of_a_million_records(peer):
    member = begin(peer)
    member.settled_fetch()
    types = [ACCEPT, RELEASE] * 500_000
    assert errors(member.acknowledge(ack(0, len(types) - 1, *types))) == [INVALID_REQUEST]
    assert errors(member.acknowledge(ack(0, 9, *types[:10]))) == [0]


def test_more_partitions_than_a_request_may_name(peer):
    member = begin(peer)
    member.settled_fetch()
    common = {"group": member.group, "member": member.id, "renews": False}
    for count, expected in ((10_000, 0), (10_001, INVALID_REQUEST)):
        topics = [{"id": member.ids["t"], "partitions": [{"index": index, "acks": []} for index in range(count)]}]
        fetch = {"wait": 0, "min": 1, "max": 100, "records": 1, "batch": 1, "mode": 0, "forgotten": []}
        reply = member.connection.ask("ShareFetch", 2, epoch=0, topics=topics, **fetch, **common)
        assert reply["error"] == expected
    forgotten = [{"id": member.ids["t"], "partitions": list(range(1, 10_000)) * 20}]
    reply = member.connection.ask("ShareFetch", 2, epoch=1, topics=[], **(fetch | {"forgotten": forgotten}), **common)
    assert reply["error"] == 0
    reply = member.connection.ask("ShareAcknowledge", 2, epoch=2, topics=topics, **common)
    assert reply["error"] == INVALID_REQUEST


def test_sessions_without_number_are_refused_and_the_others_go_on(peer):
    member = begin(peer)
    member.settled_fetch(records=3)
    connection = kafka.Connection(peer.port)
    common = {"group": member.group, "epoch": 0, "wait": 0, "min": 1, "max": 100, "records": 1, "batch": 1, "mode": 0,
              "renews": False, "topics": [], "forgotten": []}  # fmt: skip
    replies = {connection.ask("ShareFetch", 2, member=f"m{index}", **common)["error"] for index in range(2100)}
    assert replies == {0, LIMIT_REACHED}
    assert errors(member.acknowledge(ack(0, 2, ACCEPT))) == [0]
    connection.close()
    other = Member(peer, name="late")
    while other.fetch(note=False)["error"] == LIMIT_REACHED:  # the end of the connection is on its way
        time.sleep(0.01)


def test_one_partition_that_is_answered_over_and_over_in_one_request(peer):
    member = begin(peer)
    member.settled_fetch()
    parts = [{"index": 0, "acks": [ack(0, 9, ACCEPT)]}] * 5000
    topics = [{"id": member.ids["t"], "partitions": parts}]
    reply = member.connection.ask("ShareAcknowledge", 2, group=member.group, member=member.id, epoch=member.epoch, renews=False,
                                  topics=topics)  # fmt: skip
    assert set(errors(reply)) <= {0, INVALID_RECORD_STATE}


def test_connections_that_end_while_they_wait(peer):
    member = begin(peer)
    member.settled_fetch()
    for _ in range(50):
        other = Member(peer, name="gone")
        fields = {"group": other.group, "member": other.id, "epoch": 0, "wait": 30_000, "min": 1, "max": 100, "records": 1,
                  "batch": 1, "mode": 0, "renews": False, "topics": other.request(("t",), []), "forgotten": []}  # fmt: skip
        other.connection.send("ShareFetch", 2, **fields)
        other.close()
    member.acknowledge(ack(0, 9, RELEASE))
    reply = member.fetch(wait=5000)
    assert reply["topics"][0]["partitions"][0]["acquired"]

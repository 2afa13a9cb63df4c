"""Consumer groups: who gets which partition, what is committed, who is fenced."""

import collections

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition

from .conftest import WAIT_SECONDS, eventually, send, take

QUICK = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 200}


def poll_all(consumers, until, seconds=WAIT_SECONDS):
    """Polls everyone until the condition holds; returns the messages seen on the way."""
    seen = []

    def turn():
        for one in consumers:
            message = one.poll(0.05)
            if message is not None and not message.error():
                seen.append(message)
        return until()

    eventually(turn, seconds)
    return seen


def assigned(one):
    return sorted(part.partition for part in one.assignment())


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_partitions_are_shared_and_move_when_members_come_and_go(topic, consumer, strategy):
    name = topic(4)
    options = QUICK | {"partition.assignment.strategy": strategy}
    first = consumer(name, [name], **options)
    poll_all([first], lambda: assigned(first) == [0, 1, 2, 3])
    second = consumer(name, [name], **options)
    both = [first, second]
    poll_all(both, lambda: sorted(map(len, map(assigned, both))) == [2, 2] and sorted(assigned(first) + assigned(second)) == [0, 1, 2, 3])
    second.unsubscribe()
    poll_all(both, lambda: assigned(first) == [0, 1, 2, 3])


def test_a_cooperative_rebalance_never_takes_back_what_stays(topic, consumer):
    name = topic(4)
    options = QUICK | {"partition.assignment.strategy": "cooperative-sticky"}
    revoked = []
    first = consumer(name, **options)
    first.subscribe([name], on_revoke=lambda _, parts: revoked.extend(part.partition for part in parts))
    poll_all([first], lambda: len(assigned(first)) == 4)
    second = consumer(name, [name], **options)
    poll_all([first, second], lambda: len(assigned(first)) == 2 and len(assigned(second)) == 2)
    assert sorted(revoked) == assigned(second)


def test_committed_offsets_are_where_the_next_member_goes_on(topic, producer, consumer):
    name = topic()
    send(producer(), name, [(None, b"%d" % n) for n in range(20)])
    first = consumer(name, [name], **{"enable.auto.commit": False})
    take(first, 5)
    first.commit(asynchronous=False)
    first.close()
    second = consumer(name, [name])
    assert take(second, 1)[0].value() == b"5"


def test_commits_keep_metadata_and_each_group_its_own(topic, bootstrap, producer):
    name = topic()
    send(producer(), name, [(None, b"x")] * 10)
    for group, offset in ((name + "a", 3), (name + "b", 7)):
        one = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
        one.commit(offsets=[TopicPartition(name, 0, offset, metadata="note " + group)], asynchronous=False)
        committed = one.committed([TopicPartition(name, 0), TopicPartition(name, 0)], timeout=WAIT_SECONDS)[0]
        assert (committed.offset, committed.metadata) == (offset, "note " + group)
        one.close()


def test_a_static_member_returns_to_its_partitions_without_a_rebalance(topic, consumer, bootstrap):
    name = topic(2)
    revoked = []
    options = QUICK | {"session.timeout.ms": 20_000}
    stays = consumer(name, **options, **{"group.instance.id": "stays"})
    stays.subscribe([name], on_revoke=lambda *_: revoked.append(1))
    comes = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": name, "group.instance.id": "comes and goes"} | options
    )
    comes.subscribe([name])
    poll_all([stays, comes], lambda: len(assigned(stays)) == 1 and len(assigned(comes)) == 1)
    before, revocations = assigned(comes), len(revoked)
    comes.close()
    again = consumer(name, [name], **options, **{"group.instance.id": "comes and goes"})
    poll_all([stays, again], lambda: assigned(again) == before)
    assert len(revoked) == revocations


def test_a_second_holder_of_a_static_name_fences_the_first(topic, consumer):
    name = topic(1)
    options = QUICK | {"group.instance.id": "one name"}
    first = consumer(name, [name], **options)
    poll_all([first], lambda: assigned(first) == [0])
    second = consumer(name, [name], **options)
    fenced = []

    def turn():
        second.poll(0.05)
        try:
            message = first.poll(0.05)
        except Exception as error:
            fenced.append(str(error))
        else:
            if message is not None and message.error():
                fenced.append(str(message.error()))
        return any("fenced" in text.lower() for text in fenced) and assigned(second) == [0]

    eventually(turn)


def test_members_that_die_are_replaced_after_their_session(topic, producer, consumer, bootstrap):
    import subprocess
    import sys

    name = topic(2)
    script = (
        "import sys, confluent_kafka as k\n"
        "c = k.Consumer({'bootstrap.servers': sys.argv[1], 'group.id': sys.argv[2], 'session.timeout.ms': 6000})\n"
        "c.subscribe([sys.argv[2]])\n"
        "while not c.assignment(): c.poll(0.1)\n"
        "print('in', flush=True)\n"
        "while True: c.poll(0.1)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script, bootstrap, name], stdout=subprocess.PIPE)
    try:
        assert child.stdout.readline() == b"in\n"
    finally:
        child.kill()
        child.wait()
    heir = consumer(name, [name], **QUICK)
    poll_all([heir], lambda: assigned(heir) == [0, 1])


def test_each_record_goes_to_exactly_one_member(topic, producer, consumer):
    name = topic(4)
    group = [consumer(name, [name], **QUICK) for _ in range(3)]
    poll_all(group, lambda: sum(len(assigned(one)) for one in group) == 4 and all(map(assigned, group)))
    one = producer()
    for n in range(400):
        one.produce(name, b"%d" % n, partition=n % 4)
    assert one.flush(WAIT_SECONDS) == 0
    counts = collections.Counter()
    total = [0]

    def count():
        total[0] = sum(counts.values())
        return total[0] >= 400

    def turn():
        for member in group:
            message = member.poll(0.02)
            if message is not None and not message.error():
                counts[message.value()] += 1
        return count()

    eventually(turn)
    assert set(counts.values()) == {1} and len(counts) == 400


def test_groups_are_listed_described_altered_and_deleted(topic, admin, producer, consumer):
    name = topic(2)
    send(producer(), name, [(None, b"x")] * 10, partition=0)
    member = consumer(name, [name], **QUICK, **{"client.id": "the-client"})
    poll_all([member], lambda: len(assigned(member)) == 2)
    listed = {group.group_id for group in admin.list_consumer_groups().result(WAIT_SECONDS).valid}
    assert name in listed
    described = admin.describe_consumer_groups([name])[name].result(WAIT_SECONDS)
    assert described.state.name == "STABLE" and [m.client_id for m in described.members] == ["the-client"]
    assert len(described.members[0].assignment.topic_partitions) == 2
    member.close()
    request = ConsumerGroupTopicPartitions(name, [TopicPartition(name, 0, 4)])
    list(admin.alter_consumer_group_offsets([request]).values())[0].result(WAIT_SECONDS)
    offsets = list(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)]).values())[0].result(WAIT_SECONDS)
    assert {(part.partition, part.offset) for part in offsets.topic_partitions if part.offset >= 0} >= {(0, 4)}

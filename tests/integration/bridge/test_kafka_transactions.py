"""Transactions of Kafka's producers beside the bridge: offsets of one group keep one order, and records of KAFKA.PRODUCE are read by
the rules of read_committed."""

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from .conftest import make_topic

pytestmark = pytest.mark.trivet_only

WAIT_SECONDS = 30
GROUP = "g"


def address(server):
    return f"127.0.0.1:{server.port_of('kafka')}"


@pytest.fixture
def server(start):
    running = start()
    make_topic(running, "t")
    return running


@pytest.fixture
def producer(server):
    one = Producer({"bootstrap.servers": address(server), "transactional.id": "copier", "linger.ms": 1})
    one.init_transactions(WAIT_SECONDS)
    return one


@pytest.fixture
def group(server):
    one = Consumer({"bootstrap.servers": address(server), "group.id": GROUP, "enable.auto.commit": False})
    yield one
    one.close()


def committed(group):
    """Once no transaction is open that has offsets of the group."""
    return group.committed([TopicPartition("t", 0)], WAIT_SECONDS)[0].offset


def read(server, isolation="read_committed"):
    """The values up to where such a reader may read."""
    consumer = Consumer({"bootstrap.servers": address(server), "group.id": "reader", "isolation.level": isolation,
                         "enable.auto.commit": False, "enable.partition.eof": True})  # fmt: skip
    consumer.assign([TopicPartition("t", 0, 0)])
    values = []
    while True:
        message = consumer.poll(WAIT_SECONDS)
        assert message is not None, "no end of the partition was seen"
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF
            consumer.close()
            return values
        values.append(message.value().decode())


def send(producer, group, offset):
    producer.send_offsets_to_transaction([TopicPartition("t", 0, offset)], group.consumer_group_metadata(), WAIT_SECONDS)


def commit(connection, offset):
    """Kafka has it when this returns."""
    assert connection.ask("KAFKA.COMMIT", GROUP, "t", 0, offset)[0] == ":"
    assert connection.ask("KAFKA.WAIT", WAIT_SECONDS * 1000)[0] == ":"


@pytest.mark.parametrize("commits", [True, False])
def test_of_an_offset_of_a_transaction_and_one_of_the_bridge_the_later_one_counts(server, connect, producer, group, commits):
    """Whenever the transaction ends, and also for who reads the log back."""
    connection = connect(server)
    ends = producer.commit_transaction if commits else producer.abort_transaction
    producer.begin_transaction()
    send(producer, group, 3)
    commit(connection, 9)
    ends(WAIT_SECONDS)
    assert committed(group) == 9
    producer.begin_transaction()
    commit(connection, 4)
    send(producer, group, 7)
    ends(WAIT_SECONDS)
    left = 7 if commits else 4
    assert committed(group) == left
    server.restart()
    assert connect(server).ask("KAFKA.COMMITTED", GROUP, "t", 0) == (":", left)
    assert committed(group) == left


@pytest.mark.parametrize("commits", [True, False])
def test_a_record_of_the_bridge_waits_for_the_transaction_before_it(server, connect, producer, commits):
    connection = connect(server)

    def bridge(value):
        assert connection.ask("KAFKA.PRODUCE", "t", value)[0] == "*"
        assert connection.ask("KAFKA.WAIT", WAIT_SECONDS * 1000)[0] == ":"

    bridge("before")
    producer.begin_transaction()
    producer.produce("t", "of the transaction", partition=0)
    assert producer.flush(WAIT_SECONDS) == 0
    bridge("behind")
    assert read(server) == ["before"]
    assert read(server, "read_uncommitted") == ["before", "of the transaction", "behind"]
    if commits:
        producer.commit_transaction(WAIT_SECONDS)
    else:
        producer.abort_transaction(WAIT_SECONDS)
    assert read(server) == (["before", "of the transaction", "behind"] if commits else ["before", "behind"])

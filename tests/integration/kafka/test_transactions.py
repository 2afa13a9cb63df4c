"""Transactions: librdkafka's producer speaks the first version of the protocol, the Java one the second."""

import re
import time

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from harness import java
from wire import kafka

from .conftest import WAIT_SECONDS, eventually


@pytest.fixture
def transactional(bootstrap, name):
    """transactional(id="", **options): a producer with its transactions initialised."""

    def create(suffix="", **options):
        settings = {"bootstrap.servers": bootstrap, "transactional.id": name + suffix, "linger.ms": 1} | options
        producer = Producer(settings)
        producer.init_transactions(WAIT_SECONDS)
        return producer

    return create


def read(bootstrap, topic, isolation="read_committed", partition=0):
    """All values of a partition, up to where this reader may read to."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "isolation.level": isolation,
                         "enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, partition, 0)])
    values = []
    while True:
        message = consumer.poll(WAIT_SECONDS)
        assert message is not None, "no end of the partition was seen"
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF
            consumer.close()
            return values
        values.append(message.value().decode())


def write(producer, topic, *values, partition=0):
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(WAIT_SECONDS) == 0


def test_only_what_is_committed_is_read(bootstrap, topic, transactional):
    target = topic(2)
    producer = transactional()
    producer.begin_transaction()
    write(producer, target, "a", "b")
    write(producer, target, "other", partition=1)
    assert read(bootstrap, target) == []
    assert read(bootstrap, target, "read_uncommitted") == ["a", "b"]
    producer.commit_transaction(WAIT_SECONDS)
    assert read(bootstrap, target) == ["a", "b"]
    assert read(bootstrap, target, partition=1) == ["other"]
    producer.begin_transaction()
    write(producer, target, "c")
    producer.abort_transaction(WAIT_SECONDS)
    producer.begin_transaction()
    write(producer, target, "d")
    producer.commit_transaction(WAIT_SECONDS)
    assert read(bootstrap, target) == ["a", "b", "d"]
    assert read(bootstrap, target, "read_uncommitted") == ["a", "b", "c", "d"]


def test_a_second_producer_fences_the_first_and_its_transaction(bootstrap, topic, transactional):
    target = topic()
    first = transactional()
    first.begin_transaction()
    write(first, target, "lost")
    second = transactional()
    second.begin_transaction()
    write(second, target, "kept")
    second.commit_transaction(WAIT_SECONDS)
    with pytest.raises(KafkaException) as caught:
        first.commit_transaction(WAIT_SECONDS)
    assert caught.value.args[0].code() == KafkaError._FENCED
    assert read(bootstrap, target) == ["kept"]


def committed(consumer, topic):
    return consumer.committed([TopicPartition(topic, 0)], WAIT_SECONDS)[0].offset


def test_offsets_count_with_their_transaction(bootstrap, topic, transactional, consumer, name):
    target = topic()
    group = consumer(name, **{"enable.auto.commit": False})
    producer = transactional()
    for ends, offset in ((producer.abort_transaction, 5), (producer.commit_transaction, 7)):
        producer.begin_transaction()
        write(producer, target, "x")
        producer.send_offsets_to_transaction([TopicPartition(target, 0, offset)], group.consumer_group_metadata(), WAIT_SECONDS)
        ends(WAIT_SECONDS)
    assert committed(group, target) == 7
    assert read(bootstrap, target) == ["x"]


def test_of_two_commits_the_later_one_counts_whenever_its_transaction_ends(bootstrap, topic, transactional, consumer, name):
    target = topic()
    group = consumer(name, **{"enable.auto.commit": False})
    producer = transactional()
    producer.begin_transaction()
    write(producer, target, "x")
    producer.send_offsets_to_transaction([TopicPartition(target, 0, 3)], group.consumer_group_metadata(), WAIT_SECONDS)
    group.commit(offsets=[TopicPartition(target, 0, 9)], asynchronous=False)
    producer.commit_transaction(WAIT_SECONDS)
    assert committed(group, target) == 9


@pytest.fixture
def broker(launch):
    """A server of the test's own that looks often for transactions that take too long."""
    return launch("kafka", **{"transaction.abort.timed.out.transaction.cleanup.interval.ms": 50})


def address(server):
    return f"{server.host}:{server.port_of('kafka')}"


def producer_of(server, name, **options):
    producer = Producer({"bootstrap.servers": address(server), "transactional.id": name, "linger.ms": 1} | options)
    producer.init_transactions(WAIT_SECONDS)
    return producer


def end_is_seen(server, topic, values):
    """Once no transaction is open any more, these are read."""
    eventually(lambda: read(address(server), topic, "read_uncommitted") is not None)
    eventually(lambda: read(address(server), topic) == values)


def test_a_transaction_that_takes_too_long_is_aborted(broker):
    producer = producer_of(broker, "late", **{"transaction.timeout.ms": 5000, "message.timeout.ms": 5000})
    producer.begin_transaction()
    write(producer, "slow", "late")
    other = Producer({"bootstrap.servers": address(broker), "linger.ms": 0})
    write(other, "slow", "plain")
    end_is_seen(broker, "slow", ["plain"])
    with pytest.raises(KafkaException):
        producer.commit_transaction(WAIT_SECONDS)


def test_a_crash_loses_no_decision_and_leaves_no_transaction_open(broker):
    """Killed between transactions and inside of one: what was committed is there once, and the rest is decided."""
    committed_values = []
    for round_number in range(4):
        producer = producer_of(broker, "crash", **{"transaction.timeout.ms": 60_000})
        for n in range(3):
            value = f"{round_number}-{n}"
            producer.begin_transaction()
            write(producer, "kept", value)
            if n == 1:
                producer.abort_transaction(WAIT_SECONDS)
            else:
                producer.commit_transaction(WAIT_SECONDS)
                committed_values.append(value)
        producer.begin_transaction()
        write(producer, "kept", f"{round_number}-open")
        broker.restart(kill=True)
    producer_of(broker, "crash")
    end_is_seen(broker, "kept", committed_values)


def test_the_java_producer_speaks_the_second_protocol(tools, topic, bootstrap):
    """Each end brings a new epoch; what was written is read once."""
    name = topic()
    tools("producer-perf-test", "--topic", name, "--num-records", 300, "--record-size", 10, "--throughput", 2000,
          "--transactional-id", name, "--transaction-duration-ms", 20, "--producer-props", f"bootstrap.servers={bootstrap}")  # fmt: skip
    assert len(read(bootstrap, name)) == 300
    told = tools("transactions", "describe", "--transactional-id", name)
    epoch = int(told.splitlines()[1].split("\t")[3])
    assert "CompleteCommit" in told and epoch >= 2


def listed(tools, *options):
    """What the tool lists: transactional id -> state."""
    rows = [line.split() for line in tools("transactions", "list", *options).splitlines()[1:]]
    return {row[0]: row[3] for row in rows}


def test_the_tool_lists_transactions_by_state_producer_age_and_pattern(tools, topic, transactional):
    target = topic()
    done, open_one = (transactional(suffix) for suffix in ("-done", "-open"))
    for producer in (done, open_one):
        producer.begin_transaction()
        write(producer, target, "x")
    done.commit_transaction(WAIT_SECONDS)
    mine = ("--transactional-id-pattern", f"{target}.*")
    both = {f"{target}-done": "CompleteCommit", f"{target}-open": "Ongoing"}
    eventually(lambda: listed(tools, *mine) == both)
    assert both.items() <= listed(tools).items()
    assert listed(tools, *mine, "--duration-filter", 600_000) == {}
    assert listed(tools, "--transactional-id-pattern", f"{target}-d.*") == {f"{target}-done": "CompleteCommit"}
    rows = [line.split() for line in tools("transactions", "describe-producers", "--topic", target, "--partition", 0).splitlines()]
    starts = rows[0].index("CurrentTransactionStartOffset")
    assert sorted(row[starts] for row in rows[1:]) == ["1", "None"]


def end_of(server, topic, isolation):
    asked = [{"name": topic, "partitions": [{"index": 0, "epoch": -1, "time": -1}]}]
    with kafka.Connection(server.port_of("kafka")) as connection:
        reply = connection.ask("ListOffsets", 5, replica=-1, isolation=isolation, topics=asked)
    return reply["topics"][0]["partitions"][0]["offset"]


def test_the_end_of_what_is_committed_stops_at_an_open_transaction(kafka_server, topic, transactional):
    target = topic()
    producer = transactional()
    producer.begin_transaction()
    write(producer, target, "a", "b")
    assert (end_of(kafka_server, target, 0), end_of(kafka_server, target, 1)) == (2, 0)
    producer.commit_transaction(WAIT_SECONDS)
    eventually(lambda: end_of(kafka_server, target, 1) == 3)


def test_an_id_that_rests_for_too_long_is_forgotten(launch):
    rest_ms = 3000
    often = {"transaction.remove.expired.transaction.cleanup.interval.ms": 50}
    server = launch("kafka", **{"transactional.id.expiration.ms": rest_ms, **often})
    tools = java.Kafka(server.port_of("kafka"), server.host)
    producer = producer_of(server, "rests")
    producer.begin_transaction()
    write(producer, "t", "x")
    time.sleep(1.2 * rest_ms / 1000)
    assert listed(tools) == {"rests": "Ongoing"}, "one that goes on stays"
    producer.commit_transaction(WAIT_SECONDS)
    eventually(lambda: listed(tools) == {})
    server.restart(kill=True)
    eventually(lambda: listed(tools) == {})
    assert read(address(server), "t") == ["x"]


def test_kafkas_decoder_reads_the_log_of_transactions(broker):
    producer = producer_of(broker, "decoded")
    producer.begin_transaction()
    write(producer, "t", "x")
    producer.commit_transaction(WAIT_SECONDS)
    broker.stop()
    logs = [str(path) for path in broker.data.rglob("__transaction_state-*/*.log") if path.stat().st_size]
    told = java.Kafka(0)("dump-log", "--transaction-log-decoder", "--files", ",".join(logs))
    states = re.findall(r'"transactionStatus":"(\w+)"', told)
    assert states == ["Empty", "Ongoing", "PrepareCommit", "CompleteCommit"], told

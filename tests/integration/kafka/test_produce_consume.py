"""Records through librdkafka (confluent-kafka) and kafka-python: order, codecs, headers, offsets, times."""

import time

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from kafka import KafkaConsumer, KafkaProducer

from wire import kafka

from .conftest import WAIT_SECONDS, send, take

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_records_come_back_in_order_with_every_codec_and_acks(topic, producer, consumer, codec, acks):
    name = topic()
    records = [(f"k{n}".encode(), b"value %d " % n * 20) for n in range(500)]
    send(producer(**{"compression.type": codec, "acks": acks}), name, records)
    taken = take(consumer(name, [name]), 500)
    assert [(m.key(), m.value()) for m in taken] == records
    assert [m.offset() for m in taken] == list(range(500))


def test_keys_values_headers_and_timestamps_may_be_null_or_empty(topic, producer, consumer):
    name = topic()
    one = producer()
    one.produce(name, None, None)
    one.produce(name, b"", b"", headers=[("h", b"1"), ("h", None), ("", b"")], timestamp=kafka.NOW_MS + 123)
    assert one.flush(WAIT_SECONDS) == 0
    first, second = take(consumer(name, [name]), 2)
    assert (first.key(), first.value(), first.headers()) == (None, None, None)
    assert (second.key(), second.value()) == (b"", b"")
    assert second.headers() == [("h", b"1"), ("h", None), ("", b"")]
    assert second.timestamp() == (1, kafka.NOW_MS + 123)


def test_acknowledgements_carry_consecutive_offsets_a_partition(topic, producer):
    name = topic(3)
    one = producer()
    for partition in range(3):
        assert send(one, name, [(None, b"x")] * 50, partition=partition) == list(range(50))


def test_log_append_time_replaces_the_producers(topic, producer, consumer):
    name = topic(1, message_timestamp_type="LogAppendTime")
    one = producer()
    one.produce(name, b"x", timestamp=1_000)
    assert one.flush(WAIT_SECONDS) == 0
    kind, stamp = take(consumer(name, [name]), 1)[0].timestamp()
    assert kind == 2 and abs(stamp - time.time() * 1000) < 60_000


def test_a_topic_is_created_when_first_produced_to(name, producer, consumer):
    assert send(producer(), name, [(None, b"x")]) == [0]
    assert take(consumer(name, [name]), 1)[0].value() == b"x"


def test_a_record_beyond_the_topics_limit_is_refused(topic, producer):
    name = topic(1, max_message_bytes=2000)
    errors = []
    one = producer()
    one.produce(name, b"x" * 5000, on_delivery=lambda error, _: errors.append(error))
    assert one.flush(WAIT_SECONDS) == 0
    assert errors[0].name() == "MSG_SIZE_TOO_LARGE"


def test_a_megabyte_record_passes(topic, producer, consumer):
    name = topic(1, max_message_bytes=4_000_000)
    value = bytes(range(256)) * 8000
    send(producer(**{"message.max.bytes": 4_000_000}), name, [(None, value)])
    assert take(consumer(name, [name]), 1)[0].value() == value


def test_idempotent_producers_store_each_record_once_in_order(topic, producer, consumer):
    name = topic(2)
    one = producer(**{"enable.idempotence": True, "max.in.flight.requests.per.connection": 5, "linger.ms": 0})
    send(one, name, [(None, b"%d" % n) for n in range(2000)], partition=1)
    taken = take(consumer(name, [name]), 2000)
    assert [m.value() for m in taken] == [b"%d" % n for n in range(2000)]


def test_watermarks_and_offsets_for_times_find_their_record(topic, producer, bootstrap):
    name = topic()
    one = producer()
    for n in range(10):
        one.produce(name, b"x", timestamp=kafka.NOW_MS + n * 1000)
        one.flush(WAIT_SECONDS)
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": name})
    assert reader.get_watermark_offsets(TopicPartition(name, 0), timeout=WAIT_SECONDS) == (0, 10)
    for stamp, expected in ((0, 0), (kafka.NOW_MS + 3000, 3), (kafka.NOW_MS + 3001, 4)):
        found = reader.offsets_for_times([TopicPartition(name, 0, stamp)], timeout=WAIT_SECONDS)
        assert found[0].offset == expected
    late = reader.offsets_for_times([TopicPartition(name, 0, kafka.NOW_MS + 100_000)], timeout=WAIT_SECONDS)
    assert late[0].offset in (-1, 10)
    reader.close()


def test_seeking_reads_from_any_offset_even_inside_a_batch(topic, producer, bootstrap):
    name = topic()
    send(producer(**{"linger.ms": 100, "compression.type": "lz4"}), name, [(None, b"%d" % n) for n in range(100)])
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": name})
    for offset in (57, 0, 99):
        reader.assign([TopicPartition(name, 0, offset)])
        assert take(reader, 1)[0].value() == b"%d" % offset
    reader.close()


def test_an_offset_out_of_range_is_reset_or_reported(topic, producer, bootstrap):
    name = topic()
    send(producer(), name, [(None, b"x")] * 3)
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": name, "auto.offset.reset": "error"})
    reader.assign([TopicPartition(name, 0, 1000)])
    errors = []
    deadline = time.monotonic() + WAIT_SECONDS
    while not errors and time.monotonic() < deadline:
        try:
            message = reader.poll(0.2)
        except KafkaException as error:
            errors.append(error)
        else:
            errors += [message.error()] if message is not None and message.error() else []
    reader.close()
    assert errors and "range" in str(errors[0]).lower() or "reset" in str(errors[0]).lower()


def test_a_waiting_fetch_returns_when_a_record_comes(topic, producer, consumer):
    name = topic()
    reader = consumer(name, [name], **{"fetch.wait.max.ms": 60_000, "fetch.min.bytes": 1, "session.timeout.ms": 45_000})
    send(producer(), name, [(None, b"first")])
    take(reader, 1)
    for n in range(3):  # each would take a minute if the wait were not cut short
        send(producer(), name, [(None, b"%d" % n)])
        assert take(reader, 1)[0].value() == b"%d" % n


def test_kafka_python_produces_and_consumes_in_a_group(topic, bootstrap):
    name = topic(2)
    one = KafkaProducer(bootstrap_servers=bootstrap, compression_type="gzip", acks="all")
    futures = [one.send(name, key=b"k", value=b"%d" % n, headers=[("h", b"v")]) for n in range(200)]
    one.flush(WAIT_SECONDS)
    assert [future.get(WAIT_SECONDS).offset for future in futures] == list(range(200))
    reader = KafkaConsumer(
        name, bootstrap_servers=bootstrap, group_id=name, auto_offset_reset="earliest", consumer_timeout_ms=20_000
    )
    values = []
    for record in reader:
        values.append(record.value)
        if len(values) == 200:
            break
    reader.commit()
    assert values == [b"%d" % n for n in range(200)]
    assert record.headers in ([("h", b"v")], (("h", b"v"),))
    reader.close()
    one.close()

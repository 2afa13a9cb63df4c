"""Topics, partitions, configs, records deleted: through confluent-kafka's admin client."""

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec, ResourceType,
)  # fmt: skip

from wire import kafka

from .conftest import WAIT_SECONDS, eventually, send


def result(futures):
    return next(iter(futures.values())).result(WAIT_SECONDS)


def refused(futures):
    with pytest.raises(KafkaException) as caught:
        result(futures)
    return caught.value.args[0].name()


def test_topics_are_created_listed_and_deleted(admin, topic, name):
    assert topic(3) == name
    listed = admin.list_topics(timeout=WAIT_SECONDS)
    assert len(listed.topics[name].partitions) == 3
    assert all(part.leader in listed.brokers and part.isrs == [part.leader] for part in listed.topics[name].partitions.values())
    result(admin.delete_topics([name]))
    eventually(lambda: name not in admin.list_topics(timeout=WAIT_SECONDS).topics)


def test_what_cannot_be_created_says_why(admin, topic, name):
    topic(1)
    assert refused(admin.create_topics([NewTopic(name, 1, 1)])) == "TOPIC_ALREADY_EXISTS"
    assert refused(admin.create_topics([NewTopic("bad name!", 1, 1)])) == "TOPIC_EXCEPTION"
    assert refused(admin.create_topics([NewTopic(name + "p", 0, 1)])) in ("INVALID_PARTITIONS", "_INVALID_ARG")
    assert refused(admin.create_topics([NewTopic(name + "r", 1, 3)])) == "INVALID_REPLICATION_FACTOR"
    assert refused(admin.create_topics([NewTopic(name + "c", 1, 1, config={"no.such": "1"})])) == "INVALID_CONFIG"
    assert refused(admin.create_topics([NewTopic(name + "c", 1, 1, config={"retention.ms": "x"})])) == "INVALID_CONFIG"
    assert refused(admin.delete_topics([name + "none"])) == "UNKNOWN_TOPIC_OR_PART"


def test_validate_only_creates_nothing(admin, name):
    result(admin.create_topics([NewTopic(name, 1, 1)], validate_only=True))
    assert name not in admin.list_topics(timeout=WAIT_SECONDS).topics


def test_partitions_can_be_added_but_not_taken_away(admin, topic, producer):
    name = topic(1)
    result(admin.create_partitions([NewPartitions(name, 3)]))
    eventually(lambda: len(admin.list_topics(name, timeout=WAIT_SECONDS).topics[name].partitions) == 3)
    assert send(producer(), name, [(None, b"x")], partition=2) == [0]
    assert refused(admin.create_partitions([NewPartitions(name, 2)])) == "INVALID_PARTITIONS"


def test_every_topic_config_is_described_with_default_and_source(admin, topic):
    name = topic(1, retention_ms=12345)
    configs = result(admin.describe_configs([ConfigResource(ResourceType.TOPIC, name)]))
    for key in ("cleanup.policy", "compression.type", "delete.retention.ms", "file.delete.delay.ms", "flush.messages",
                "flush.ms", "index.interval.bytes", "max.compaction.lag.ms", "max.message.bytes", "message.timestamp.type",
                "min.cleanable.dirty.ratio", "min.compaction.lag.ms", "min.insync.replicas", "preallocate",
                "retention.bytes", "retention.ms", "segment.bytes", "segment.index.bytes", "segment.jitter.ms",
                "segment.ms", "unclean.leader.election.enable"):  # fmt: skip
        assert key in configs, key
    assert configs["retention.ms"].value == "12345" and not configs["retention.ms"].is_default
    assert configs["segment.bytes"].value == "1073741824" and configs["segment.bytes"].is_default


def test_broker_configs_are_described(admin):
    broker = next(iter(admin.list_topics(timeout=WAIT_SECONDS).brokers))
    configs = result(admin.describe_configs([ConfigResource(ResourceType.BROKER, str(broker))]))
    for key in ("num.partitions", "log.retention.ms", "message.max.bytes", "auto.create.topics.enable"):
        assert key in configs, key


def test_configs_change_incrementally_and_fall_back(admin, topic):
    name = topic(1, retention_ms=1000)

    def alter(key, value, operation):
        entry = ConfigEntry(key, value, incremental_operation=operation)
        return admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])])

    def value(key):
        return result(admin.describe_configs([ConfigResource(ResourceType.TOPIC, name)]))[key].value

    result(alter("segment.bytes", "2000000", AlterConfigOpType.SET))
    assert (value("segment.bytes"), value("retention.ms")) == ("2000000", "1000")
    result(alter("retention.ms", None, AlterConfigOpType.DELETE))
    assert value("retention.ms") == "604800000"
    result(alter("cleanup.policy", "compact", AlterConfigOpType.APPEND))
    assert set(value("cleanup.policy").split(",")) == {"delete", "compact"}
    assert refused(alter("retention.ms", "soon", AlterConfigOpType.SET)) == "INVALID_CONFIG"


def test_deleted_records_are_gone_and_the_log_starts_later(admin, topic, producer, bootstrap):
    name = topic()
    send(producer(), name, [(None, b"x")] * 10)
    assert result(admin.delete_records([TopicPartition(name, 0, 4)])).low_watermark == 4
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": name})
    assert reader.get_watermark_offsets(TopicPartition(name, 0), timeout=WAIT_SECONDS) == (4, 10)
    reader.close()
    assert refused(admin.delete_records([TopicPartition(name, 0, 11)])) == "OFFSET_OUT_OF_RANGE"


def test_the_cluster_describes_itself(admin):
    described = admin.describe_cluster().result(WAIT_SECONDS)
    assert described.cluster_id and described.controller.id in [node.id for node in described.nodes]


def test_offsets_are_listed_earliest_latest_and_by_greatest_time(admin, topic, producer):
    name = topic()
    one = producer()
    for stamp in (1000, 5000, 3000):
        one.produce(name, b"x", timestamp=kafka.NOW_MS + stamp)
        one.flush(WAIT_SECONDS)
    part = TopicPartition(name, 0)
    for spec, expected in ((OffsetSpec.earliest(), 0), (OffsetSpec.latest(), 3), (OffsetSpec.max_timestamp(), 1)):
        assert result(admin.list_offsets({part: spec})).offset == expected


def test_topics_are_described_with_their_ids(admin, topic):
    from confluent_kafka import TopicCollection

    name = topic(2)
    described = result(admin.describe_topics(TopicCollection([name])))
    assert len(described.partitions) == 2 and str(described.topic_id)

"""Requests that name a hundred thousand things: answered in slices, or refused; nobody else waits for them."""

import itertools
import time

import pytest

from wire import kafka

pytestmark = [pytest.mark.trivet_only, pytest.mark.usefixtures("short_turns")]
numbers = itertools.count(time.time_ns())


@pytest.fixture
def connection(ports):
    with kafka.Connection(ports["kafka"]) as one:
        yield one


@pytest.fixture
def topic(connection):
    name = f"many-{next(numbers)}"
    asked = {"name": name, "partitions": 4, "replication": 1, "assignments": [], "configs": []}
    assert connection.ask("CreateTopics", 5, topics=[asked], timeout=10_000, validate=False)["topics"][0]["error"] == 0
    return name


@pytest.mark.parametrize("count", [20_000, 100_000])
def test_more_new_topics_than_one_request_may_make_are_not_made(connection, count):
    names = [f"new-{next(numbers)}" for _ in range(count)]
    assert {one["error"] for one in connection.ask("Metadata", 1, topics=names)["topics"]} == {3}
    known = connection.ask("Metadata", 1, topics=None)["topics"]
    assert not {one["name"] for one in known} & set(names)


def test_a_million_names_are_refused_or_answered(ports):
    with kafka.Connection(ports["kafka"]) as connection:
        try:
            topics = connection.ask("Metadata", 1, topics=[f"million-{index}" for index in range(1_000_000)])["topics"]
            assert {one["error"] for one in topics} == {3}
        except ConnectionError:
            pass


def test_one_topic_named_a_hundred_thousand_times_is_described_once(connection, topic):
    assert len(connection.ask("Metadata", 1, topics=[topic] * 100_000)["topics"]) == 1


def test_fifty_thousand_partitions_are_looked_for(connection, topic):
    parts = [{"index": index, "epoch": -1, "time": -1} for index in range(50_000)]
    topics = [{"name": topic, "partitions": parts}]
    reply = connection.ask("ListOffsets", 5, replica=-1, isolation=0, topics=topics)
    errors = [part["error"] for part in reply["topics"][0]["partitions"]]
    assert sorted(errors, reverse=True) == [3] * 49_996 + [0] * 4


def test_fifty_thousand_partitions_are_fetched(connection, topic):
    parts = [{"index": index, "leader_epoch": -1, "offset": 0, "start": -1, "max": 1000} for index in range(50_000)]
    reply = connection.ask(
        "Fetch", 11, replica=-1, wait=100, min=1, max=1 << 20, isolation=0, session=0, epoch=0, forgotten=[], rack="",
        topics=[{"name": topic, "partitions": parts}],
    )  # fmt: skip
    assert sum(part["error"] == 0 for part in reply["topics"][0]["partitions"]) == 4


def test_records_of_fifty_thousand_partitions_are_deleted(connection, topic):
    parts = [{"index": index % 5, "offset": 0} for index in range(50_000)]
    reply = connection.ask("DeleteRecords", 1, topics=[{"name": topic, "partitions": parts}], timeout=1000)
    assert sum(part["error"] == 0 for part in reply["topics"][0]["partitions"]) == 40_000


def test_configs_of_thousands_of_resources_are_described(connection, topic):
    resources = [{"type": 2, "name": topic, "keys": None}] * 1_000
    results = connection.ask("DescribeConfigs", 3, resources=resources, synonyms=True, documentation=True)["results"]
    assert {one["error"] for one in results} == {0}


def test_a_hundred_thousand_topics_are_deleted_that_do_not_exist(connection):
    names = [f"none-{index}" for index in range(100_000)]
    reply = connection.ask("DeleteTopics", 3, topics=names, timeout=1000)
    assert [one["error"] for one in reply["topics"]] == [3] * 100_000


def test_partitions_of_a_hundred_thousand_topics_are_refused(connection):
    asked = [{"name": f"none-{index}", "count": 100_000, "assignments": None} for index in range(50_000)]
    reply = connection.ask("CreatePartitions", 1, topics=asked, timeout=1000, validate=False)
    assert {one["error"] for one in reply["topics"]} == {3}


def test_topics_by_the_thousand_are_refused_together(connection):
    asked = [
        {"name": f"none-{index}", "partitions": 1, "replication": 1, "assignments": [], "configs": []} for index in range(20_000)
    ]
    reply = connection.ask("CreateTopics", 5, topics=asked, timeout=1000, validate=False)
    assert {one["error"] for one in reply["topics"]} == {44}


@pytest.fixture
def group(connection):
    """One whose coordinator serves, without members."""
    name = f"group-{next(numbers)}"
    while connection.ask("FindCoordinator", 2, key=name, type=0)["error"] != 0:
        time.sleep(0.05)
    while connection.ask("OffsetFetch", 5, group=name, topics=[])["error"] != 0:
        time.sleep(0.05)
    return name


def commit(connection, group, topic, indexes, metadata=""):
    parts = [{"index": index, "offset": index, "epoch": -1, "metadata": metadata} for index in indexes]
    topics = [{"name": topic, "partitions": parts}]
    reply = connection.ask("OffsetCommit", 7, group=group, generation=-1, member="", instance=None, topics=topics)
    return [part["error"] for part in reply["topics"][0]["partitions"]]


def fetched(connection, group, topic, indexes):
    reply = connection.ask("OffsetFetch", 5, group=group, topics=[{"name": topic, "partitions": indexes}])
    return [(part["offset"], part["metadata"]) for part in reply["topics"][0]["partitions"]]


def test_a_hundred_thousand_offsets_are_committed_as_far_as_there_are_partitions(connection, topic, group):
    assert commit(connection, group, topic, range(100_000)) == [0] * 4 + [3] * 99_996
    assert fetched(connection, group, topic, [3, 2, 9]) == [(3, ""), (2, ""), (-1, "")]


def test_more_offsets_than_a_batch_holds_are_refused_together(connection, topic, group):
    assert set(commit(connection, group, topic, [index % 4 for index in range(60_000)])) == {-1}
    assert fetched(connection, group, topic, [0]) == [(-1, "")]


def test_metadata_is_refused_partition_by_partition(connection, topic, group):
    assert commit(connection, group, topic, [0, 9, 1], "x" * 5000) == [12, 3, 12]
    assert commit(connection, group, topic, [0, 9, 1], "x" * 4000) == [0, 3, 0]
    assert fetched(connection, group, topic, [1]) == [(1, "x" * 4000)]


def test_a_hundred_thousand_offsets_are_fetched(connection, topic, group):
    assert commit(connection, group, topic, [2], "m") == [0]
    assert fetched(connection, group, topic, [2] * 100_000) == [(2, "m")] * 100_000
    topics = [{"name": topic, "partitions": [2]}] * 20_000
    groups = [{"group": group, "topics": topics}, {"group": group, "topics": None}, {"group": group, "topics": None}]
    told = connection.ask("OffsetFetch", 8, groups=groups, stable=True)["groups"]
    assert [(one["error"], len(one["topics"])) for one in told] == [(0, 20_000), (0, 1), (42, 0)]


def test_groups_by_the_ten_thousand_are_described_and_deleted(connection, topic, group):
    """Each name once, in their order; what a request says of one group is what it says of it alone."""
    assert commit(connection, group, topic, [1]) == [0]
    names = [group] + [f"{group}-{index}" for index in range(20_000)] + [group]
    told = connection.ask("DescribeGroups", 4, groups=names, authorized=False)["groups"]
    assert [one["group"] for one in told] == names
    assert [(one["error"], one["state"]) for one in (told[0], told[1], told[-1])] == [(0, "Empty"), (0, "Dead"), (42, "")]
    told = connection.ask("ConsumerGroupDescribe", 1, groups=names, authorized=False)["groups"]
    assert [one["group"] for one in told] == names
    assert [one["error"] for one in (told[0], told[1], told[-1])] == [69, 69, 42]
    results = connection.ask("DeleteGroups", 1, groups=names)["results"]
    assert [(one["group"], one["error"]) for one in results] == [(group, 0)] + [(name, 69) for name in names[1:-1]]


def test_offsets_are_deleted_by_the_ten_thousand(connection, topic, group):
    assert commit(connection, group, topic, [0, 1, 2]) == [0] * 3
    asked = [{"index": index % 5} for index in range(50_000) if index % 5 != 2]
    reply = connection.ask("OffsetDelete", 0, group=group, topics=[{"name": topic, "partitions": asked}])
    assert reply["error"] == 0
    assert [part["error"] for part in reply["topics"][0]["partitions"]] == [3 if one["index"] == 4 else 0 for one in asked]
    assert fetched(connection, group, topic, [0, 1, 2]) == [(-1, ""), (-1, ""), (2, "")]


@pytest.fixture
def transaction(connection):
    """One that has begun: who writes in its name."""
    name = f"transaction-{next(numbers)}"
    while connection.ask("FindCoordinator", 2, key=name, type=1)["error"] != 0:
        time.sleep(0.05)
    while (told := connection.ask("InitProducerId", 1, transaction=name, timeout=60_000))["error"] != 0:
        time.sleep(0.05)
    return {"transaction": name, "producer": told["producer"], "epoch": told["epoch"]}


def test_partitions_by_the_ten_thousand_are_added_to_a_transaction(connection, topic, transaction):
    def added(indexes):
        topics = [{"name": topic, "partitions": list(indexes)}]
        reply = connection.ask("AddPartitionsToTxn", 3, topics=topics, **transaction)
        return [(part["index"], part["error"]) for part in reply["topics"][0]["partitions"]]

    asked = [index % 5 for index in range(60_000)]
    assert added(asked) == [(index, 3 if index == 4 else 55) for index in asked]
    assert added(index % 4 for index in range(60_000)) == [(index % 4, 0) for index in range(60_000)]
    looked_up = [{"verify": True, "topics": [{"name": topic, "partitions": [index % 4 for index in range(60_000)]}], **transaction}]
    reply = connection.ask("AddPartitionsToTxn", 4, transactions=looked_up)
    assert {part["error"] for part in reply["transactions"][0]["topics"][0]["partitions"]} == {0}
    assert connection.ask("EndTxn", 3, commits=False, **transaction)["error"] == 0


def test_offsets_by_the_thousand_are_committed_in_a_transaction(connection, topic, group, transaction):
    parts = [{"index": index % 5, "offset": index, "leader_epoch": -1, "metadata": ""} for index in range(5_000)]
    topics = [{"name": topic, "partitions": parts}]
    told = connection.ask("TxnOffsetCommit", 5, group=group, generation=-1, member="", instance=None, topics=topics, **transaction)
    assert [part["error"] for part in told["topics"][0]["partitions"]] == [0, 0, 0, 0, 3] * 1_000
    assert fetched(connection, group, topic, [0]) == [(-1, "")]
    assert connection.ask("EndTxn", 3, commits=True, **transaction)["error"] == 0
    while fetched(connection, group, topic, [0, 1, 2, 3]) != [(4995 + index, "") for index in range(4)]:
        time.sleep(0.05)


def test_a_group_with_more_offsets_than_a_batch_holds_is_deleted(connection, group):
    name = f"wide-{next(numbers)}"
    asked = {"name": name, "partitions": 2_000, "replication": 1, "assignments": [], "configs": []}
    assert connection.ask("CreateTopics", 5, topics=[asked], timeout=60_000, validate=False)["topics"][0]["error"] == 0
    for start in range(0, 2_000, 1_000):
        assert set(commit(connection, group, name, range(start, start + 1_000), "m" * 100)) == {0}
    configs = [{"name": "max.message.bytes", "operation": 0, "value": "40000"}]
    offsets = [{"type": 2, "name": "__consumer_offsets", "configs": configs}]
    assert alter(connection, offsets) == [0]
    assert connection.ask("DeleteGroups", 1, groups=[group])["results"] == [{"group": group, "error": 0}]
    assert fetched(connection, group, name, [0, 1_500, 1_999]) == [(-1, "")] * 3
    configs[0]["operation"] = 1
    assert alter(connection, offsets) == [0]
    assert connection.ask("DeleteTopics", 3, topics=[name], timeout=60_000)["topics"][0]["error"] == 0


def test_ends_of_epochs_are_asked_for_by_the_hundred_thousand(connection, topic):
    topics = [{"name": topic, "partitions": [{"index": index, "current": -1, "epoch": 0} for index in range(100_000)]}]
    reply = connection.ask("OffsetForLeaderEpoch", 3, replica=-1, topics=topics)
    assert [part["error"] for part in reply["topics"][0]["partitions"]] == [0] * 4 + [3] * 99_996


def test_the_size_of_a_topic_is_asked_for_by_the_ten_thousand(connection, topic):
    asked = [{"name": topic, "partitions": [1, 3, 7]}] * 50_000 + [{"name": "none", "partitions": [0]}]
    results = connection.ask("DescribeLogDirs", 1, topics=asked)["results"]
    assert {(one["name"], *(part["index"] for part in one["partitions"])) for one in results[0]["topics"]} == {(topic, 1, 3)}
    whole = connection.ask("DescribeLogDirs", 1, topics=None)["results"][0]["topics"]
    assert [len(one["partitions"]) for one in whole if one["name"] == topic] == [4]


def test_a_hundred_thousand_topics_are_described_in_the_order_of_their_names(connection, topic):
    names = [f"none-{(index * 7919) % 100_000:06}" for index in range(100_000)] + [topic, topic]
    told = connection.ask("DescribeTopicPartitions", 0, topics=[{"name": name} for name in names], limit=10, cursor=None)
    assert [one["name"] for one in told["topics"]] == sorted(set(names))
    assert [len(one["partitions"]) for one in told["topics"] if one["error"] == 0] == [4]


def alter(connection, resources, validate=False):
    reply = connection.ask("IncrementalAlterConfigs", 0, resources=resources, validate=validate)
    return [one["error"] for one in reply["results"]]


def test_lists_of_thousands_of_words_are_edited(connection, topic):
    def edit(operation, value):
        configs = [{"name": "cleanup.policy", "operation": operation, "value": value}]
        return alter(connection, [{"type": 2, "name": topic, "configs": configs}])

    assert edit(0, ",".join(["delete"] * 4_000)) == [0]
    assert edit(2, ",".join(["x"] * 16_000)) == [40]
    assert edit(3, ",".join(["x"] * 16_000)) == [0]
    assert edit(2, ",".join(["compact"] * 4_000)) == [0]
    assert edit(3, ",".join(["delete"] * 4_000)) == [0]


def test_thousands_of_settings_are_looked_through_once(connection):
    names = [{"name": f"name-{index}", "operation": 0, "value": ""} for index in range(2_000)]
    resources = [{"type": 4, "name": f"{index}", "configs": [*names[:-1], names[0]]} for index in range(60)]
    assert alter(connection, resources, validate=True) == [42] * 60


def test_settings_without_a_value_are_named_as_far_as_an_answer_goes(connection, topic):
    def refused(count, width):
        configs = [{"name": f"{index:04}" + "n" * width, "operation": 0, "value": None} for index in range(count)]
        resources = [{"type": 2, "name": topic, "configs": configs}]
        (result,) = connection.ask("IncrementalAlterConfigs", 0, resources=resources, validate=True)["results"]
        assert result["error"] == 42
        return result["message"]

    assert refused(3, 0) == "Null value not supported for : 0000, 0001, 0002"
    assert refused(30, 30_000).startswith("Null value not supported for : 0000nnn")
    assert refused(300, 30_000) == "Configs of one resource are too large"


def test_a_request_for_many_partitions_writes_to_all(connection):
    name = f"wide-{next(numbers)}"
    asked = {"name": name, "partitions": 1000, "replication": 1, "assignments": [], "configs": []}
    assert connection.ask("CreateTopics", 5, topics=[asked], timeout=60_000, validate=False)["topics"][0]["error"] == 0
    batch = kafka.batch([b"x" * 100] * 100)
    parts = [{"index": index, "records": batch} for index in range(1000)]
    topics = [{"name": name, "partitions": parts}]
    reply = connection.ask("Produce", 9, transaction=None, acks=-1, timeout=5000, topics=topics)
    assert {part["error"] for part in reply["topics"][0]["partitions"]} == {0}
    assert connection.ask("DeleteTopics", 3, topics=[name], timeout=60_000)["topics"][0]["error"] == 0

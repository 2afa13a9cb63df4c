"""Share groups: their members and administrators on the wire, as Kafka 4.4.0 answers them; and Kafka's own consumer and tools (Java)."""

import re
import time

import pytest
from confluent_kafka import Producer

from harness import java
from wire import kafka, share_groups  # noqa: F401 (the layouts)

from .conftest import send

UNKNOWN_TOPIC_OR_PARTITION, INCONSISTENT_GROUP_PROTOCOL, INVALID_GROUP_ID, UNKNOWN_MEMBER_ID = 3, 23, 24, 25
INVALID_REQUEST, NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND, FENCED_MEMBER_EPOCH = 42, 68, 69, 110
FENCED_LEADER_EPOCH, FENCED_STATE_EPOCH = 74, 124


class Group:
    """A share group on a broker, and short forms of what is asked about it."""

    def __init__(self, server, name):
        self.port, self.name = server.port_of("kafka"), name
        self.connection = kafka.Connection(self.port)
        self.connection.ask("FindCoordinator", 4, type=0, keys=[name])

    def ask(self, api, version, **fields):
        return self.connection.ask(api, version, **fields)

    def create(self, topic, partitions):
        asked = {"name": topic, "partitions": partitions, "replication": 1, "assignments": [], "configs": []}
        assert self.ask("CreateTopics", 5, topics=[asked], timeout=60_000, validate=False)["topics"][0]["error"] == 0

    def beat(self, epoch, topics=None, member="m", rack=None, group=None):
        return self.ask("ShareGroupHeartbeat", 1, group=self.name if group is None else group, member=member, epoch=epoch,
                        rack=rack, topics=topics)  # fmt: skip

    def settled_beat(self, epoch, member="m"):
        """When targets may be computed again."""
        time.sleep(1.1)
        return self.beat(epoch, member=member)

    def refused(self, *args, **fields):
        told = self.beat(*args, **fields)
        return told["error"], told["message"]

    def describe(self):
        return self.ask("ShareGroupDescribe", 1, groups=[self.name], authorized=False)["groups"][0]

    def offsets(self):
        told = self.ask("DescribeShareGroupOffsets", 1, groups=[{"group": self.name, "topics": None}])["groups"][0]
        assert told["error"] == 0
        return {(topic["name"], one["index"]): (one["start"], one["lag"]) for topic in told["topics"] for one in topic["partitions"]}

    def alter(self, topic, **starts):
        parts = [{"index": int(index[1:]), "start": start} for index, start in starts.items()]
        return self.ask("AlterShareGroupOffsets", 0, group=self.name, topics=[{"name": topic, "partitions": parts}])

    def forget(self, *topics):
        return self.ask("DeleteShareGroupOffsets", 0, group=self.name, topics=[{"name": topic} for topic in topics])

    def delete(self):
        return self.ask("DeleteGroups", 1, groups=[self.name])["results"][0]["error"]


@pytest.fixture
def group(kafka_server, name):
    one = Group(kafka_server, name)
    yield one
    one.connection.close()


def partitions(told):
    return sorted(part for topic in told["assigned"] or [] for part in topic["partitions"])


def enter(group, count=3):
    """A member with all partitions of a topic of the group's name."""
    group.create(group.name, count)
    assert partitions(group.beat(0, [group.name])) == []
    told = group.settled_beat(2)
    assert (told["epoch"], partitions(told)) == (3, list(range(count)))


def test_members_join_are_assigned_are_fenced_and_leave(group):
    enter(group)
    assert group.refused(5) == (FENCED_MEMBER_EPOCH, "The share group member has a greater member epoch (5) than the one known by "
                                "the group coordinator (3). The member must abandon all its partitions and rejoin.")  # fmt: skip
    assert group.refused(1) == (FENCED_MEMBER_EPOCH, "The share group member has a smaller member epoch (1) than the one known by "
                                "the group coordinator (3), and it does not match the previous member epoch (2). The member must "
                                "abandon all its partitions and rejoin.")  # fmt: skip
    assert group.beat(2)["epoch"] == 3  # the reply was lost
    assert group.refused(3, member="other") == (UNKNOWN_MEMBER_ID, f"Member other is not a member of group {group.name}.")
    told = group.describe()
    assert (told["state"], told["epoch"], told["assignment"], told["assignor"]) == ("Stable", 3, 3, "simple")
    assert [(one["member"], one["epoch"], one["topics"]) for one in told["members"]] == [("m", 3, [group.name])]
    group.beat(0, [group.name], member="other")
    assert len(partitions(group.settled_beat(3, member="other"))) + len(partitions(group.beat(3))) == 3
    assert group.beat(-1)["epoch"] == -1
    assert group.beat(-1, member="other")["error"] == 0
    told = group.describe()
    assert (told["state"], told["epoch"], told["assignment"], told["members"]) == ("Empty", 6, 6, [])


def test_what_no_group_accepts_is_refused_in_the_originals_words(group):
    assert group.refused(0, ["t"], member="") == (INVALID_REQUEST, None)
    assert group.refused(0, ["t"], group="") == (INVALID_REQUEST, "GroupId can't be empty.")
    assert group.refused(0, ["t"], rack=" ") == (INVALID_REQUEST, "RackId can't be empty.")
    assert group.refused(0) == (INVALID_REQUEST, "SubscribedTopicNames must be set in first request.")
    assert group.refused(0, []) == (INVALID_REQUEST, "SubscribedTopicNames must be set in first request.")
    assert group.refused(-2) == (INVALID_REQUEST, "MemberEpoch is invalid.")
    assert group.refused(1) == (GROUP_ID_NOT_FOUND, f"Share group {group.name} not found.")
    assert group.refused(-1) == (GROUP_ID_NOT_FOUND, f"Group {group.name} not found.")
    told = group.describe()
    assert (told["error"], told["message"]) == (GROUP_ID_NOT_FOUND, f"Group {group.name} not found.")


def test_other_protocols_have_no_business_in_a_share_group(group):
    name = group.name
    group.create(name, 1)
    group.beat(0, [name])
    joined = group.ask("JoinGroup", 7, group=name, session=10000, rebalance=10000, member="", instance=None, type="consumer",
                       protocols=[{"name": "range", "data": b""}])  # fmt: skip
    assert joined["error"] == INCONSISTENT_GROUP_PROTOCOL
    assert group.ask("Heartbeat", 3, group=name, generation=1, member="m", instance=None)["error"] == UNKNOWN_MEMBER_ID
    new = dict(member="c", epoch=0, instance=None, rack=None, rebalance=10_000, names=[name], regex=None, assignor=None, owned=[])
    assert group.ask("ConsumerGroupHeartbeat", 1, group=name, **new)["error"] == GROUP_ID_NOT_FOUND
    deleted = group.ask("OffsetDelete", 0, group=name, topics=[{"name": name, "partitions": [{"index": 0}]}])
    assert deleted["error"] == GROUP_ID_NOT_FOUND
    assert group.ask("ConsumerGroupHeartbeat", 1, group=f"{name}-c", **new)["error"] == 0
    assert group.refused(0, [name], group=f"{name}-c") == (GROUP_ID_NOT_FOUND, f"Group {name}-c is not a share group.")
    listed = {one["group"]: (one["type"], one["state"]) for one in group.ask("ListGroups", 4, states=[])["groups"]}
    assert listed[name] == ("share", "Stable")


def test_offsets_are_described_altered_and_deleted_while_nobody_is_in_the_group(group):
    name = group.name
    enter(group, 2)
    assert group.offsets() == {(name, 0): (-1, -1), (name, 1): (-1, -1)}
    assert group.alter(name, _0=0)["error"] == NON_EMPTY_GROUP
    assert group.forget(name)["error"] == NON_EMPTY_GROUP
    assert group.delete() == NON_EMPTY_GROUP
    group.beat(-1)
    told = group.alter(name, _0=5, _9=0)["topics"][0]["partitions"]
    assert {one["index"]: one["error"] for one in told} == {0: 0, 9: UNKNOWN_TOPIC_OR_PARTITION}
    assert group.offsets() == {(name, 0): (5, -5), (name, 1): (-1, -1)}
    told = group.forget(name, "there is none")["topics"]
    assert {one["name"]: one["error"] for one in told} == {name: 0, "there is none": UNKNOWN_TOPIC_OR_PARTITION}
    assert group.offsets() == {}
    told = group.forget(name)["topics"][0]
    assert (told["error"], told["message"]) == (UNKNOWN_TOPIC_OR_PARTITION, "There is no offset information to delete.")
    assert group.delete() == 0
    assert group.forget(name)["error"] == GROUP_ID_NOT_FOUND
    assert group.alter(name, _1=3)["error"] == 0  # makes the group
    assert group.offsets() == {(name, 1): (3, -3)}
    assert (group.describe()["state"], group.describe()["epoch"]) == ("Empty", 1)
    assert group.delete() == 0


def test_states_go_with_their_topic(group):
    name = group.name
    enter(group, 2)
    assert set(group.offsets()) == {(name, 0), (name, 1)}
    assert group.ask("DeleteTopics", 3, topics=[name], timeout=60_000)["topics"][0]["error"] == 0
    assert group.offsets() == {}
    assert partitions(group.settled_beat(3)) == []
    group.create(name, 1)
    told = group.settled_beat(group.settled_beat(4)["epoch"])
    assert (told["error"], partitions(told)) == (0, [0])
    assert set(group.offsets()) == {(name, 0)}


def test_states_of_partitions_are_fenced_and_laid_over_one_another(group):
    """What brokers of the original ask one another; the batches are those that Kafka 4.4.0 tells after the same writes."""
    group.create(group.name, 1)
    topic = group.ask("Metadata", 12, topics=[{"id": bytes(16), "name": group.name}], create=False, authorized=False)["topics"][0]["id"]

    def ask(api, version, **fields):
        topics = [{"id": topic, "partitions": [{"index": 0} | fields]}]
        return group.ask(f"{api}ShareGroupState{'Summary' if version else ''}" if api == "Read" else f"{api}ShareGroupState", version,
                         group=group.name, topics=topics)["topics"][0]["partitions"][0]  # fmt: skip

    def write(epoch, leader, start, *batches):
        batches = [dict(zip(("first", "last", "state", "count"), one, strict=True)) for one in batches]
        return ask("Write", 1, epoch=epoch, leader=leader, start=start, complete=-1, batches=batches)["error"]

    assert ask("Read", 0, leader=0)["error"] == INVALID_REQUEST  # there is none
    assert ask("Initialize", 0, epoch=3, start=100)["error"] == 0
    assert ask("Initialize", 0, epoch=2, start=0)["error"] == FENCED_STATE_EPOCH
    assert ask("Read", 0, leader=5)["start"] == 100
    assert ask("Read", 0, leader=4)["error"] == FENCED_LEADER_EPOCH
    assert write(3, 4, 101) == FENCED_LEADER_EPOCH
    assert write(2, 5, 101) == FENCED_STATE_EPOCH
    assert write(3, 5, 101, (101, 110, 2, 1)) == 0
    assert write(3, 5, 101, (105, 120, 0, 2), (101, 103, 4, 1)) == 0
    batches = [tuple(one.values()) for one in ask("Read", 0, leader=5)["batches"]]
    assert batches == [(101, 103, 4, 1), (104, 104, 2, 1), (105, 120, 0, 2)]
    told = ask("Read", 1, leader=0)
    assert (told["error"], told["epoch"], told["leader"], told["start"]) == (0, 3, 5, 101)


def test_a_group_is_the_same_after_a_kill(launch, name):
    server = launch("kafka")
    group = Group(server, name)
    enter(group)
    before = group.describe()
    server.restart(kill=True)
    group = Group(server, name)
    assert group.describe() == before
    assert group.beat(3)["epoch"] == 3
    assert len(group.offsets()) == 3


def offsets(tools, group):
    """topic-partition -> start offset, as kafka-share-groups.sh tells it."""
    told = tools("share-groups", "--describe", "--group", group, "--offsets")
    return {int(part): int(start) for part, start in re.findall(rf"^{group}\s+{group}\s+(\d+)\s+(\d+)", told, re.M)}


def producer(server):
    return Producer({"bootstrap.servers": f"{server.host}:{server.port_of('kafka')}", "linger.ms": 1})


def consume(tools, group, count):
    lines = tools("console-share-consumer", "--topic", group, "--group", group, "--max-messages", count, "--timeout-ms", 40000)
    return lines.splitlines()


def test_a_share_group_reads_goes_on_after_a_restart_and_is_administered(launch):
    """What was acknowledged stays so through kill -9; then the group's offsets are deleted, and it is."""
    server = launch("kafka", **{"group.share.heartbeat.interval.ms": 500, "group.share.min.heartbeat.interval.ms": 500})
    tools = java.Kafka(server.port_of("kafka"))
    group = "shared"
    tools("topics", "--create", "--topic", group, "--partitions", 2)
    tools("configs", "--alter", "--entity-type", "groups", "--entity-name", group,
          "--add-config", "share.auto.offset.reset=earliest")  # fmt: skip
    send(producer(server), group, [(None, f"line {n}") for n in range(10)])
    assert sorted(consume(tools, group, 10)) == sorted(f"line {n}" for n in range(10))
    server.restart(kill=True)
    tools = java.Kafka(server.port_of("kafka"))
    send(producer(server), group, [(None, "another")])
    assert consume(tools, group, 1) == ["another"]
    assert re.search(rf"{group}\s+Empty", tools("share-groups", "--list", "--state"))
    assert set(offsets(tools, group)) == {0, 1}
    assert "Successful" in tools("share-groups", "--delete-offsets", "--group", group, "--topic", group)
    assert "was successful" in tools("share-groups", "--delete", "--group", group)
    assert tools("share-groups", "--list").split() == []

"""Groups that move from one protocol to the other while they have members, both ways, and across a restart."""

import pytest
from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaConsumer

from harness import java, trivet

from .conftest import WAIT_SECONDS
from .test_groups import QUICK, assigned, poll_all

CLASSIC = QUICK | {"auto.offset.reset": "earliest"}
MODERN = {"group.protocol": "consumer", "auto.offset.reset": "earliest"}


# Members of the consumer protocol hear of changes at their heartbeats only, every five seconds unless told.
QUICK_BROKER = {"group.consumer.min.heartbeat.interval.ms": "100", "group.consumer.heartbeat.interval.ms": "200"}


@pytest.fixture(scope="module")
def quick_server():
    server = trivet.Trivet({"kafka": QUICK_BROKER}).start()
    yield server
    assert server.alive(), server.log_tail(60)
    server.close()


@pytest.fixture
def bootstrap(quick_server):
    return f"{quick_server.host}:{quick_server.port_of('kafka')}"


@pytest.fixture
def make(bootstrap):
    opened = []

    def create(group, options):
        one = Consumer({"bootstrap.servers": bootstrap, "group.id": group} | options)
        one.subscribe([group])
        opened.append(one)
        return one

    yield create
    for one in opened:
        one.close()


def shared(consumers, partitions=4):
    """All partitions, each at one, as evenly as can be."""
    parts = [assigned(one) for one in consumers]
    sizes = sorted(map(len, parts))
    return sorted(sum(parts, [])) == list(range(partitions)) and sizes[-1] - sizes[0] <= 1


def group_type(admin, group):
    listed = admin.list_consumer_groups().result(WAIT_SECONDS).valid
    return [one.type.name for one in listed if one.group_id == group]


@pytest.mark.parametrize("strategy", ["range", "cooperative-sticky"])
def test_a_classic_group_goes_on_when_a_modern_member_joins_and_again_when_it_leaves(topic, make, admin, strategy):
    name = topic(4)
    old = make(name, CLASSIC | {"partition.assignment.strategy": strategy})
    poll_all([old], lambda: shared([old]))
    new = make(name, MODERN)
    poll_all([old, new], lambda: shared([old, new]))
    assert group_type(admin, name) == ["CONSUMER"]
    new.close()
    poll_all([old], lambda: shared([old]))
    assert group_type(admin, name) == ["CLASSIC"]


@pytest.mark.parametrize("strategy", ["range", "cooperative-sticky"])
def test_a_modern_group_takes_a_classic_member_and_goes_on_without_it(topic, make, admin, strategy):
    name = topic(4)
    new = make(name, MODERN)
    poll_all([new], lambda: shared([new]))
    old = make(name, CLASSIC | {"partition.assignment.strategy": strategy})
    poll_all([old, new], lambda: shared([old, new]))
    old.close()
    poll_all([new], lambda: shared([new]))
    assert group_type(admin, name) == ["CONSUMER"]


def test_offsets_are_the_same_for_both_and_commits_of_both_are_taken(topic, make, producer):
    name = topic(2)
    old = make(name, CLASSIC | {"enable.auto.commit": False})
    poll_all([old], lambda: shared([old], 2))
    new = make(name, MODERN | {"enable.auto.commit": False})
    poll_all([old, new], lambda: shared([old, new], 2))
    sender = producer()
    for partition in (0, 1):
        sender.produce(name, b"x", partition=partition)
    sender.flush()
    seen = []
    poll_all([old, new], lambda: seen.append(1) or len(seen) > 20)
    for one in (old, new):
        for position in one.position(one.assignment()):
            assert position.offset == 1
        committed = one.commit(asynchronous=False)
        assert [part.error for part in committed] == [None]


def test_a_member_of_kafka_python_beside_a_modern_one(topic, make, bootstrap):
    name = topic(4)
    old = KafkaConsumer(bootstrap_servers=bootstrap, group_id=name, session_timeout_ms=6000,
                        heartbeat_interval_ms=200)  # fmt: skip
    assert old.partitions_for_topic(name) == {0, 1, 2, 3}  # or it may lead the group before it knows the topic
    old.subscribe([name])
    try:
        new = None

        def both():
            old.poll(timeout_ms=50)
            mine = sorted(part.partition for part in old.assignment())
            theirs = assigned(new) if new else []
            return (len(mine), sorted(mine + theirs)) == (2 if new else 4, [0, 1, 2, 3])

        poll_all([], both)
        new = make(name, MODERN)
        poll_all([new], both)
    finally:
        old.close(autocommit=False)


def create(admin, name, partitions):
    for future in admin.create_topics([NewTopic(name, partitions, 1)]).values():
        future.result(WAIT_SECONDS)


def test_both_go_on_after_a_restart(launch):
    server = launch("kafka", **QUICK_BROKER)
    bootstrap = f"{server.host}:{server.port_of('kafka')}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    create(admin, "t", 4)
    members = [Consumer({"bootstrap.servers": bootstrap, "group.id": "t"} | o) for o in (CLASSIC, MODERN)]
    try:
        for one in members:
            one.subscribe(["t"])
        poll_all(members, lambda: shared(members))
        before = [assigned(one) for one in members]
        server.restart(kill=True)
        poll_all(members, lambda: group_type(admin, "t") == ["CONSUMER"], 20)
        seen = []
        poll_all(members, lambda: seen.append([assigned(one) for one in members]) or len(seen) > 30)
        assert seen[-1] == before
        members.append(Consumer({"bootstrap.servers": bootstrap, "group.id": "t"} | MODERN))
        members[-1].subscribe(["t"])
        poll_all(members, lambda: shared(members))
    finally:
        for one in members:
            one.close()


def test_the_originals_tools_read_what_a_migration_leaves(launch):
    server = launch("kafka", **QUICK_BROKER | {"offsets.topic.num.partitions": "1"})
    if not list((java.JARS / "kafka").glob("*.jar")):
        pytest.skip("no Kafka libraries: run tools/install test")
    bootstrap = f"{server.host}:{server.port_of('kafka')}"
    create(AdminClient({"bootstrap.servers": bootstrap}), "t", 4)
    members = [Consumer({"bootstrap.servers": bootstrap, "group.id": "t"} | o) for o in (CLASSIC, MODERN)]
    for one in members:
        one.subscribe(["t"])
        poll_all(members, lambda: members[0].assignment())
    poll_all(members, lambda: shared(members))
    members[1].close()
    poll_all(members[:1], lambda: shared(members[:1]))
    members[0].close()
    log = server.data / "kafka" / "__consumer_offsets-0" / "00000000000000000000.log"
    told = java.Kafka(0)("dump-log", "--offsets-decoder", "--files", log)
    values = [line.partition(" payload: ")[2] for line in told.splitlines() if '"type":"5"' in line]
    classic = [value for value in values if '"classicMemberMetadata":{"sessionTimeoutMs":6000' in value]
    assert classic and '"name":"range"' in classic[0], told[-4000:]
    assert '"type":"8"' in told and "error" not in told.lower(), told[-4000:]


def first_error(one):
    """What a member hears that may not join."""
    while True:
        try:
            message = one.poll(0.5)
        except KafkaException as error:
            return str(error)
        if message is not None and message.error():
            return str(message.error())


@pytest.mark.parametrize("policy", ["disabled", "downgrade"])
def test_without_the_policy_the_modern_member_is_refused_and_the_group_stays(launch, policy):
    server = launch("kafka", **QUICK_BROKER | {"group.consumer.migration.policy": policy})
    bootstrap = f"{server.host}:{server.port_of('kafka')}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    create(admin, "t", 4)
    old = Consumer({"bootstrap.servers": bootstrap, "group.id": "t"} | CLASSIC)
    new = Consumer({"bootstrap.servers": bootstrap, "group.id": "t"} | MODERN)
    try:
        old.subscribe(["t"])
        poll_all([old], lambda: shared([old]))
        new.subscribe(["t"])
        assert "group id does not exist" in first_error(new)
        assert group_type(admin, "t") == ["CLASSIC"]
    finally:
        new.close()
        old.close()


def test_upgrade_alone_leaves_the_group_a_modern_one(launch):
    server = launch("kafka", **QUICK_BROKER | {"group.consumer.migration.policy": "Upgrade"})
    bootstrap = f"{server.host}:{server.port_of('kafka')}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    create(admin, "t", 4)
    old = Consumer({"bootstrap.servers": bootstrap, "group.id": "t"} | CLASSIC)
    new = Consumer({"bootstrap.servers": bootstrap, "group.id": "t"} | MODERN)
    try:
        for one in (old, new):
            one.subscribe(["t"])
        poll_all([old, new], lambda: shared([old, new]))
        new.close()
        poll_all([old], lambda: shared([old]))
        assert group_type(admin, "t") == ["CONSUMER"]
    finally:
        old.close()

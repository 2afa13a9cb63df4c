"""Share groups with Kafka's own consumer and tools (Java)."""

import re

from confluent_kafka import Producer

from harness import java

from .conftest import send


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

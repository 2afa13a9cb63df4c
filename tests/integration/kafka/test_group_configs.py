"""Settings of single groups: what counts for their members, where it is kept, and how long."""

import time

import pytest

from harness.trivet import Trivet
from wire import kafka

NOTHING = {"rack": None, "instance": None, "rebalance": -1, "names": None, "regex": None, "assignor": None, "owned": None}
SESSION = "consumer.session.timeout.ms"
LIMITS = {"group.consumer.min.session.timeout.ms": 1000, "group.consumer.min.heartbeat.interval.ms": 100}


@pytest.fixture(scope="module")
def server():
    with Trivet({"kafka": LIMITS}) as one:
        yield one.start()


@pytest.fixture
def connection(server):
    with kafka.Connection(server.ports["kafka"]) as one:
        while one.ask("FindCoordinator", 2, key="g", type=0)["error"] != 0:
            time.sleep(0.05)
        yield one


def alter(connection, group, name, value, operation=0):
    configs = [{"name": name, "operation": operation, "value": value}]
    resources = [{"type": 32, "name": group, "configs": configs}]
    return connection.ask("IncrementalAlterConfigs", 0, resources=resources, validate=False)["results"][0]["error"]


def described(connection, group, name):
    asked = [{"type": 32, "name": group, "keys": [name]}]
    told = connection.ask("DescribeConfigs", 3, resources=asked, synonyms=True, documentation=False)["results"][0]["configs"][0]
    return told["value"], told["source"]


def beat(connection, group, epoch, **fields):
    fields = NOTHING | {"group": group, "member": "m", "epoch": epoch} | fields
    while (told := connection.ask("ConsumerGroupHeartbeat", 1, **fields))["error"] in (14, 15, 16):
        time.sleep(0.05)
    return told


def members(connection, group):
    return len(connection.ask("ConsumerGroupDescribe", 1, groups=[group], authorized=False)["groups"][0]["members"])


def test_a_member_is_gone_after_its_groups_own_session(connection):
    for group in ("short", "long"):
        beat(connection, group, 0, names=["t"], rebalance=1000, owned=[])
    assert alter(connection, "short", SESSION, "1000") == 40, "it must be above the heartbeats' interval"
    assert alter(connection, "short", "consumer.heartbeat.interval.ms", "500") == 0
    assert alter(connection, "short", SESSION, "1000") == 0
    assert beat(connection, "short", 1)["interval"] == 500
    while members(connection, "short"):
        time.sleep(0.1)
    assert beat(connection, "short", 1)["error"] == 25
    assert members(connection, "long") == 1


@pytest.mark.parametrize("group", ["plain", "a/b", "..", ".", "with space", "münze", "x" * 1000, "%2E"])
def test_any_group_keeps_its_settings_through_a_restart(server, group):
    with kafka.Connection(server.ports["kafka"]) as connection:
        assert alter(connection, group, SESSION, "50000") == 0
    server.restart()
    with kafka.Connection(server.ports["kafka"]) as connection:
        assert described(connection, group, SESSION) == ("50000", 8)
        assert described(connection, f"{group}x", SESSION) == ("45000", 5)
        assert alter(connection, group, SESSION, None, operation=1) == 0
        assert described(connection, group, SESSION) == ("45000", 5)

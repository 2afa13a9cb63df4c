"""Groups that would keep the loop busy, or remember without end: many members that disagree, metadata by the megabyte, patterns
over many topics, filters and names without end. No turn of the loop may take 100 ms meanwhile."""

import select
import struct
import time

import pytest

from wire import kafka

MEMBERS = 800
PROTOCOLS = [{"name": "range", "data": b"m"}, {"name": "roundrobin", "data": b"m"}]
GROUP_MAX_SIZE_REACHED, MESSAGE_TOO_LARGE, INVALID_REGULAR_EXPRESSION, INVALID_REQUEST = 81, 10, 128, 42
NOTHING = {"instance": None, "rack": None, "rebalance": -1, "names": None, "regex": None, "assignor": None, "owned": None}


@pytest.fixture
def server(shared, ports):
    ports["kafka"]  # so that it must still answer afterwards
    return shared.of("kafka")


@pytest.fixture
def group(server):
    """A name that no other test uses, whose coordinator is there."""
    name = f"hostile{time.time_ns()}"
    with kafka.Connection(server.port_of("kafka")) as connection:
        while connection.ask("FindCoordinator", 2, key=name, type=0)["error"]:
            time.sleep(0.05)
        while connection.ask("Heartbeat", 3, group=name, generation=0, member="", instance=None)["error"] in (14, 15, 16):
            time.sleep(0.05)
    return name


def join(group, protocols, member=""):
    return {"group": group, "session": 60_000, "rebalance": 60_000, "member": member, "type": "consumer", "protocols": protocols}


def test_hundreds_of_members_that_disagree_on_the_order_join_at_once(server, group, no_stall):
    connections = [kafka.Connection(server.port_of("kafka")) for _ in range(MEMBERS)]
    try:
        with no_stall(server):
            numbers = []
            for index, connection in enumerate(connections):
                order = PROTOCOLS if index % 2 else PROTOCOLS[::-1]
                numbers.append(connection.send("JoinGroup", 2, **join(group, order)))
            first = connections[0]
            told = first.decode("JoinGroup", 2, numbers[0], first.read_frame())
            assert (told["error"], told["protocol"]) == (0, "roundrobin")
    finally:
        for connection in connections:
            connection.close()


def test_metadata_by_the_megabyte_is_refused(server, group, no_stall):
    with kafka.Connection(server.port_of("kafka")) as connection, no_stall(server):
        large = [{"name": "range", "data": bytes(90_000_000)}]
        assert connection.ask("JoinGroup", 2, **join(group, large))["error"] == MESSAGE_TOO_LARGE
        many = [{"name": f"p{n}", "data": b""} for n in range(100_000)]
        assert connection.ask("JoinGroup", 2, **join(group, many))["error"] == MESSAGE_TOO_LARGE


def test_a_group_remembers_only_so_much_of_its_members(server, group):
    large = [{"name": "range", "data": bytes(3_900_000)}]
    connections, errors = [], []
    try:
        for _ in range(21):
            connection = kafka.Connection(server.port_of("kafka"))
            connections.append(connection)
            connection.send("JoinGroup", 2, **join(group, large))
        # Which of them comes too late is the carriers' affair; those that were taken wait for the others.
        while GROUP_MAX_SIZE_REACHED not in errors:
            answered, _, _ = select.select([c.socket for c in connections], [], [], 60)
            assert answered, errors
            for connection in [c for c in connections if c.socket in answered]:
                frame = connection.read_frame()
                errors.append(connection.decode("JoinGroup", 2, connection.correlation, frame)["error"])
    finally:
        for connection in connections:
            connection.close()
    assert set(errors) <= {0, GROUP_MAX_SIZE_REACHED}


def test_a_member_of_a_modern_group_brings_only_so_much(server, group):
    with kafka.Connection(server.port_of("kafka")) as connection:
        fields = NOTHING | {"group": group, "member": "m", "epoch": 0, "rebalance": 1000, "owned": []}
        names = [f"topic-{n}" for n in range(100_000)]
        assert connection.ask("ConsumerGroupHeartbeat", 1, **fields | {"names": names})["error"] == MESSAGE_TOO_LARGE
        for pattern in ("([\\pL\\d]{1,30}){1,30}", "a" * 5000, "((a{100}){100}){100}"):
            told = connection.ask("ConsumerGroupHeartbeat", 1, **fields | {"regex": pattern})
            assert told["error"] == INVALID_REGULAR_EXPRESSION, pattern[:40]


def test_filters_and_names_without_end(server, group, no_stall):
    with kafka.Connection(server.port_of("kafka")) as connection:
        for index in range(300):
            part = {"index": 0, "offset": 1, "epoch": -1, "metadata": None}
            connection.ask("OffsetCommit", 7, group=f"{group}-{index}", generation=-1, member="", instance=None,
                           topics=[{"name": "nosuchtopic", "partitions": [part]}])  # fmt: skip
        with no_stall(server):
            connection.ask("ListGroups", 4, states=["nonsense"] * 100_000)
            told = connection.ask("DeleteGroups", 1, groups=[f"none{n}" for n in range(30_000)] * 2)
            assert len(told["results"]) == 30_000


def test_one_group_named_over_and_over_is_answered_once(server, group, no_stall):
    with kafka.Connection(server.port_of("kafka")) as connection:
        part = {"index": 0, "offset": 1, "epoch": -1, "metadata": "m" * 4000}
        connection.ask("OffsetCommit", 7, group=group, generation=-1, member="", instance=None,
                       topics=[{"name": "nosuchtopic", "partitions": [part]}])  # fmt: skip
        with no_stall(server):
            told = connection.ask("DescribeGroups", 4, groups=[group] * 20_000, authorized=False)
            assert [one["error"] for one in told["groups"]] == [0] + [INVALID_REQUEST] * 19_999
            asked = [{"group": group, "topics": None}] * 20_000
            told = connection.ask("OffsetFetch", 8, groups=asked, stable=False)
            assert [one["error"] for one in told["groups"]] == [0] + [INVALID_REQUEST] * 19_999


def topics_of(connection, names):
    topics = [{"name": name, "partitions": 1, "replication": 1, "assignments": [], "configs": []} for name in names]
    told = connection.ask("CreateTopics", 5, topics=topics, timeout=60_000, validate=False)
    assert {one["error"] for one in told["topics"]} == {0}


def partitions_of(told):
    return sum(len(one["partitions"]) for one in told["assigned"] or [])


def test_patterns_match_as_the_originals(server, group):
    stem = f"pat{time.time_ns()}"
    cases = {
        f"{stem}.*(?:a|b).*": 2, f"{stem}\\d+": 2, f"(?i){stem.upper()}T1": 1, f"\\Q{stem}.x\\E": 1, f"{stem}[a-z]{{1,40}}": 2,
        f"{stem}\\.x|{stem}t1": 2, f"{stem}": 0, f"(?:{stem}1|{stem}2)": 2,
    }  # fmt: skip
    with kafka.Connection(server.port_of("kafka")) as connection:
        topics_of(connection, [f"{stem}{end}" for end in ("1", "2", "a", "b", "t1", ".x")])
        fields = NOTHING | {"epoch": 0, "rebalance": 1000, "owned": []}
        for number, (pattern, expected) in enumerate(cases.items()):
            one = fields | {"member": "m", "group": f"{group}-{number}", "regex": pattern}
            told = connection.ask("ConsumerGroupHeartbeat", 1, **one)
            assert (told["error"], partitions_of(told)) == (0, expected), pattern


def test_a_pattern_finds_topics_that_are_made_later(server, group):
    stem = f"late{time.time_ns()}"
    with kafka.Connection(server.port_of("kafka")) as connection:
        fields = NOTHING | {"member": "m", "group": group}
        told = connection.ask("ConsumerGroupHeartbeat", 1, **fields | {"epoch": 0, "rebalance": 1000, "owned": [], "regex": f"{stem}\\d"})
        assert partitions_of(told) == 0
        topics_of(connection, [f"{stem}1", f"{stem}x", f"{stem}2"])
        told = connection.ask("ConsumerGroupHeartbeat", 1, **fields | {"epoch": told["epoch"]})
        assert partitions_of(told) == 2


def test_an_administrator_empties_a_modern_group_and_deletes_it(server, group):
    with kafka.Connection(server.port_of("kafka")) as connection:
        fields = NOTHING | {"group": group, "epoch": 0, "rebalance": 1000, "owned": [], "names": ["nosuchtopic"]}
        for member, instance in (("member-A", "iA"), ("member-B", None)):
            assert connection.ask("ConsumerGroupHeartbeat", 1, **fields | {"member": member, "instance": instance})["error"] == 0
        assert connection.ask("DeleteGroups", 1, groups=[group])["results"][0]["error"] == 68
        told = connection.ask("LeaveGroup", 3, group=group, members=[{"id": "", "instance": "iA"}, {"id": "member-B", "instance": None}])
        assert [one["error"] for one in told["members"]] == [0, 0]
        assert connection.ask("DeleteGroups", 1, groups=[group])["results"][0]["error"] == 0


def test_metadata_of_random_bytes_in_a_modern_group_is_survived(server, group):
    with kafka.Connection(server.port_of("kafka")) as connection:
        fields = NOTHING | {"group": group, "member": "m", "epoch": 0, "rebalance": 1000, "owned": [], "names": ["nosuchtopic"]}
        assert connection.ask("ConsumerGroupHeartbeat", 1, **fields)["error"] == 0
        for data in (b"", b"\0", b"\xff\xff", b"\0\1\x7f\xff\xff\xff", struct.pack(">hi", 1, -2), b"\0\3" + bytes(3)):
            protocols = [{"name": "range", "data": data}]
            assert connection.ask("JoinGroup", 2, **join(group, protocols, "x"))["error"] != 0, data

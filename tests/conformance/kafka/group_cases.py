"""Cases about groups of the consumer protocol (KIP-848), and about members of both protocols in one group."""

import struct
import time

from .cluster_cases import _alter_group, _beat, _commit, _describe_group, _join, _leave, _settle, _settled_configs

NOTHING = {"rack": None, "instance": None, "rebalance": -1, "names": None, "regex": None, "assignor": None, "owned": None}


def _text(value):
    return struct.pack(">h", len(value)) + value.encode()


def _subscription(*topics, owned=None, version=1):
    data = struct.pack(">hi", version, len(topics)) + b"".join(map(_text, topics)) + struct.pack(">i", -1)
    if version >= 1:
        data += struct.pack(">i", len(owned or {}))
        for topic, parts in (owned or {}).items():
            data += _text(topic) + struct.pack(">i", len(parts)) + b"".join(struct.pack(">i", part) for part in parts)
    return data


def _assignment(topic, *parts):
    body = struct.pack(">hi", 1, 1) + _text(topic) + struct.pack(">i", len(parts))
    return body + b"".join(struct.pack(">i", part) for part in parts) + struct.pack(">i", -1)


def _heartbeat(peer, member="m1", epoch=0, version=1, group="g", **fields):
    fields = NOTHING | {"member": member, "epoch": epoch, "group": peer.topic(group) if group else ""} | fields
    if version == 0:
        del fields["regex"]
    return peer.ask("ConsumerGroupHeartbeat", version, **fields)


def _enter(peer, member="m1", **fields):
    names = {} if "regex" in fields else {"names": [peer.topic()]}
    return _heartbeat(peer, member, 0, **{"rebalance": 10_000, "owned": []} | names | fields)


def _create(peer, **how):
    """A topic, once the coordinator of groups has heard of it, which takes the original a moment."""
    peer.create(**how)
    names = NOTHING | {"names": [peer.topic()], "rebalance": 10_000, "owned": [], "group": peer.topic("probe")}
    while True:
        told = peer.connection.ask("ConsumerGroupHeartbeat", 1, member="probe", epoch=0, **names)
        peer.connection.ask("ConsumerGroupHeartbeat", 1, member="probe", epoch=-1, **NOTHING, group=peer.topic("probe"))
        if told["assigned"]:
            return


def _describe(peer, group="g"):
    reply = peer.connection.ask("ConsumerGroupDescribe", 1, groups=[peer.topic(group) if group else ""], authorized=False)
    peer.note("describe", [peer.normal(one) for one in reply["groups"]])


def _settled_beat(peer, interval_ms):
    """The original's groups go on as they were for a while after its broker tells of the new setting."""
    fields = NOTHING | {"member": "m1", "epoch": 1, "group": peer.topic("g")}
    for _ in range(100):
        if peer.connection.ask("ConsumerGroupHeartbeat", 1, **fields)["interval"] == interval_ms:
            return
        time.sleep(0.1)


def a_group_beats_as_its_own_config_says(peer):
    _settle(peer)
    _create(peer)
    _enter(peer)
    _alter_group(peer, [("consumer.heartbeat.interval.ms", 0, "7000")])
    _settled_configs(peer, "consumer.heartbeat.interval.ms", "7000")
    _settled_beat(peer, 7000)
    _heartbeat(peer, epoch=1)
    _enter(peer, group="other")
    _alter_group(peer, [("consumer.heartbeat.interval.ms", 1, None)])
    _settled_configs(peer, "consumer.heartbeat.interval.ms", "5000")
    _settled_beat(peer, 5000)
    _heartbeat(peer, epoch=1)


def heartbeats_that_no_group_accepts(peer):
    _settle(peer)
    _create(peer)
    for version in (0, 1):
        _enter(peer, version=version, group="")
        for member in ("", " "):
            _heartbeat(peer, member, 1, version=version)
            _heartbeat(peer, member, -1, version=version)
            _heartbeat(peer, member, -2, version=version, instance="i")
        _heartbeat(peer, "m1", -3, version=version)
        _heartbeat(peer, "m1", -2, version=version)
        _enter(peer, version=version, instance="")
        _enter(peer, version=version, instance="\t")
        _enter(peer, version=version, rack="")
        _enter(peer, version=version, rebalance=-1)
        _enter(peer, version=version, owned=None)
        _enter(peer, version=version, owned=[{"id": bytes(16), "partitions": [0]}])
        _enter(peer, version=version, names=None)
        _enter(peer, version=version, names=[])
        _enter(peer, version=version, assignor="mine")
        _enter(peer, version=version, assignor="")
        _heartbeat(peer, "m1", 1, version=version)
        _heartbeat(peer, "m1", -1, version=version)
    _enter(peer, "")
    _enter(peer, " ")
    _enter(peer, "", names=None)
    _enter(peer, names=None, regex="")


def patterns_that_are_refused(peer):
    _settle(peer)
    _create(peer)
    for pattern in ("(", "[a", "a\\", "*", "a**", "a{1001}", "(?=a)", "(a)\\1", "[z-a]", "(?P<n!>a)", "a{2,1}", "\\pX", "(?z)"):
        _enter(peer, regex=pattern)
    _enter(peer, "m2")
    _heartbeat(peer, "m2", 1, regex="(")
    _heartbeat(peer, "nobody", 1, regex="(")


def a_member_lives_in_a_group(peer):
    _settle(peer)
    _create(peer, partitions=2)
    told = _enter(peer)
    _heartbeat(peer, epoch=told["epoch"])
    _heartbeat(peer, epoch=told["epoch"] + 1)
    _heartbeat(peer, "nobody", told["epoch"])
    _heartbeat(peer, "nobody", -1)
    _enter(peer)
    _describe(peer)
    _heartbeat(peer, epoch=told["epoch"], names=[peer.topic("none")], rebalance=5000, owned=[])
    _heartbeat(peer, epoch=told["epoch"] + 1)
    _heartbeat(peer, epoch=told["epoch"] - 1, owned=[])
    _heartbeat(peer, epoch=0)
    _enter(peer)
    _commit(peer, member="m1", generation=told["epoch"])
    _commit(peer)
    _describe_group(peer)
    peer.ask("DeleteGroups", 1, groups=[peer.topic("g")])
    _heartbeat(peer, epoch=-1)
    _describe(peer)
    peer.ask("DeleteGroups", 1, groups=[peer.topic("g")])
    _describe(peer)
    _describe(peer, "none")
    _describe(peer, "")


def static_members_come_and_go(peer):
    _settle(peer)
    _create(peer)
    told = _enter(peer, instance="i")
    _enter(peer, "m2", instance="i")
    _enter(peer, "m1", instance="i")
    _heartbeat(peer, "m2", told["epoch"], instance="i")
    _heartbeat(peer, "m1", told["epoch"], instance="j")
    _heartbeat(peer, "m1", -2, instance="j")
    _heartbeat(peer, "m2", -2, instance="i")
    _heartbeat(peer, "m1", -2, instance="i")
    _heartbeat(peer, "m1", told["epoch"], instance="i")
    _enter(peer, "m3", instance="i")
    _heartbeat(peer, "m3", told["epoch"], instance="i")
    _heartbeat(peer, "m1", told["epoch"], instance="i")
    _heartbeat(peer, "m3", -2, instance="i")
    _enter(peer, "m3", instance="i")
    _heartbeat(peer, "m3", told["epoch"], instance="i")
    _heartbeat(peer, "m3", -1, instance="i")
    _heartbeat(peer, "m3", told["epoch"], instance="i")


def members_are_removed_by_an_administrator(peer):
    _settle(peer)
    _create(peer)
    _enter(peer, "mA", instance="iA")
    _enter(peer, "mB")
    _enter(peer, "mC", instance="iC")
    _leave(peer, ("mA", "iC"), ("x", "iC"), ("nobody", None), ("", None), ("", "none"), ("mA", None))
    _enter(peer, "mA", instance="iA")
    _leave(peer, ("", "iA"), ("mB", None), ("mC", "iC"))
    _leave(peer, ("", "iA"), ("mB", None))
    _leave(peer)
    _describe(peer)
    peer.ask("DeleteGroups", 1, groups=[peer.topic("g")])


def _classic(peer, *topics, member="", name="range", **owned):
    return _join(peer, member=member, protocols=[{"name": name, "data": _subscription(*topics, **owned)}])


def _sync_classic(peer, member, generation, assignments=(), protocol="range", kind="consumer"):
    assignments = [{"id": one, "data": data} for one, data in assignments]
    return peer.ask("SyncGroup", 5, group=peer.topic("g"), generation=generation, member=member, instance=None, type=kind,
                    protocol=protocol, assignments=assignments)  # fmt: skip


def a_classic_group_is_upgraded_and_downgraded(peer):
    _settle(peer)
    _create(peer, partitions=2)
    topic = peer.topic()
    first = _classic(peer, topic)["member"]
    told = _classic(peer, topic, member=first)
    _sync_classic(peer, first, told["generation"], [(first, _assignment(topic, 0, 1))])
    _enter(peer, "new")
    _describe_group(peer)
    _beat(peer, first, told["generation"])
    _sync_classic(peer, first, told["generation"])
    _commit(peer, member=first, generation=told["generation"])
    _commit(peer, member=first, generation=told["generation"] + 1)
    again = _classic(peer, topic, member=first)
    _beat(peer, first, again["generation"])
    _beat(peer, first, told["generation"])
    _beat(peer, "new", again["generation"])
    _beat(peer, "nobody", again["generation"])
    _sync_classic(peer, first, again["generation"], protocol="other")
    _sync_classic(peer, first, again["generation"], kind="other")
    _sync_classic(peer, "new", again["generation"])
    _sync_classic(peer, first, again["generation"])
    _heartbeat(peer, "new", again["generation"])
    _join(peer, kind="other", member=first)
    _join(peer, protocols=[{"name": "unheard of", "data": _subscription(topic)}])
    _join(peer, protocols=[])
    _heartbeat(peer, "new", -1)
    _describe_group(peer)
    _beat(peer, first, again["generation"])
    last = _classic(peer, topic, member=first)
    _sync_classic(peer, first, last["generation"], [(first, _assignment(topic, 0, 1))])
    _leave(peer, (first, None))
    _enter(peer, "new")
    _heartbeat(peer, "new", -1)


def who_was_given_an_id_finds_a_modern_group(peer):
    _settle(peer)
    _create(peer, partitions=2)
    first = peer.connection.ask("JoinGroup", 7, group=peer.topic("g"), session=10_000, rebalance=10_000, member="", instance=None,
                                type="consumer", protocols=[{"name": "range", "data": _subscription(peer.topic())}])  # fmt: skip
    peer.note("first", first["error"])
    told = _enter(peer, "new")
    _classic(peer, peer.topic(), member=first["member"])
    _heartbeat(peer, "new", told["epoch"])
    _leave(peer, (first["member"], None), ("new", None))


def a_cooperative_member_lets_go_in_two_steps(peer):
    _settle(peer)
    _create(peer, partitions=2)
    topic = peer.topic()
    new = _enter(peer, "new")
    first = _classic(peer, topic)["member"]
    told = _classic(peer, topic, member=first)
    _sync_classic(peer, first, told["generation"])
    _beat(peer, first, told["generation"])
    gave = _heartbeat(peer, "new", new["epoch"])
    _heartbeat(peer, "new", new["epoch"], owned=gave["assigned"] or [])
    _beat(peer, first, told["generation"])
    told = _classic(peer, topic, member=first)
    _sync_classic(peer, first, told["generation"])
    _enter(peer, "third")
    _beat(peer, first, told["generation"])
    _classic(peer, topic, member=first, owned={topic: [0, 1]})
    _leave(peer, (first, None))
    _heartbeat(peer, "new", -1)
    _heartbeat(peer, "third", -1)


def groups_that_cannot_be_upgraded(peer):
    _settle(peer)
    _create(peer)
    first = _join(peer, kind="connect")["member"]
    told = _join(peer, kind="connect", member=first)
    _enter(peer, "new")
    _leave(peer, (first, None))
    _enter(peer, "new")
    _heartbeat(peer, "new", -1)
    first = _classic(peer, peer.topic())["member"]
    told = _classic(peer, peer.topic(), member=first)
    _sync_classic(peer, first, told["generation"], [(first, b"\0\1\0\0")])
    _enter(peer, "new")
    _leave(peer, (first, None))
    first = _classic(peer, peer.topic())["member"]
    told = _classic(peer, peer.topic(), member=first)
    custom = _assignment(peer.topic(), 0)[:-4] + struct.pack(">i", 3) + b"own"
    _sync_classic(peer, first, told["generation"], [(first, custom)])
    _enter(peer, "new")
    _leave(peer, (first, None))


CASES = [
    value for name, value in list(globals().items())
    if callable(value) and getattr(value, "__module__", "") == __name__ and not name.startswith("_")
]  # fmt: skip

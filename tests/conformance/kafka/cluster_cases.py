"""Cases about topics, configs, groups and committed offsets."""

import time

# A subscription to nothing, as clients write it: version 0, no topics, no user data.
PROTOCOLS = [{"name": "range", "data": b"\0\0\0\0\0\0\xff\xff\xff\xff"}]


def topics_are_created_or_refused_with_a_reason(peer):
    def create(suffix, partitions=1, replication=1, configs=(), assignments=(), validate=False, twice=False):
        topic = {
            "name": peer.topic(suffix), "partitions": partitions, "replication": replication,
            "assignments": [{"index": n, "brokers": [broker]} for n, broker in assignments],
            "configs": [{"name": key, "value": value} for key, value in configs],
        }  # fmt: skip
        reply = peer.connection.ask("CreateTopics", 5, topics=[topic] * (2 if twice else 1), timeout=5000, validate=validate)
        told = [(one["error"], one["partitions"], one["replication"]) for one in reply["topics"]]
        peer.note(f"create {suffix[:20]} {partitions} {replication} {configs} {assignments} {validate}", told)

    create("plain")
    create("plain")
    create("default", -1, -1)
    create("none", 0)
    create("minus", -5)
    create("replicated", 1, 3)
    create("replicated", 1, 0)
    create("bad name")
    create("x" * 250)
    create("checked", validate=True)
    create("checked", validate=True)
    create("twice", twice=True)
    create("config", configs=[("retention.ms", "1000")])
    create("badconfig", configs=[("no.such.config", "1")])
    create("badvalue", configs=[("retention.ms", "soon")])
    create("badvalue", configs=[("cleanup.policy", "burn")])
    create("badvalue", configs=[("segment.bytes", "1")])
    create("nullvalue", configs=[("retention.ms", None)])


def names_of_topics_are_checked(peer):
    for name in ("", ".", "..", "a b", "a/b", "é", "x" * 249, "x" * 250):
        topic = {"name": name, "partitions": 1, "replication": 1, "assignments": [], "configs": []}
        reply = peer.connection.ask("CreateTopics", 5, topics=[topic], timeout=5000, validate=True)
        peer.note(f"create {name[:10]!r}", reply["topics"][0]["error"])
        reply = peer.connection.ask("Metadata", 12, topics=[{"id": None, "name": name}], create=False, authorized=False)
        peer.note(f"metadata {name[:10]!r}", reply["topics"][0]["error"])


def topics_are_deleted_once(peer):
    peer.create()
    peer.ask("DeleteTopics", 3, topics=[peer.topic(), peer.topic("nosuch")], timeout=5000)
    peer.ask("DeleteTopics", 3, topics=[peer.topic()], timeout=5000)
    peer.ask("DeleteTopics", 3, topics=[], timeout=5000)


def partitions_only_grow(peer):
    peer.create(partitions=2)
    for suffix, count in (("t", 1), ("t", 2), ("t", 0), ("t", -1), ("t", 4), ("nosuch", 3)):
        topic = {"name": peer.topic(suffix), "count": count, "assignments": None}
        peer.ask("CreatePartitions", 1, topics=[topic], timeout=5000, validate=True)
    topic = {"name": peer.topic(), "count": 4, "assignments": None}
    peer.ask("CreatePartitions", 1, topics=[topic], timeout=5000, validate=False)
    peer.ask("CreatePartitions", 1, topics=[topic, topic], timeout=5000, validate=True)


def metadata_names_topics_and_their_partitions(peer):
    peer.create(partitions=3)
    peer.ask("Metadata", 1, topics=[peer.topic(), peer.topic("nosuch") + "!"])
    peer.ask("Metadata", 12, topics=[{"id": None, "name": peer.topic()}], create=False, authorized=False)
    peer.ask("Metadata", 12, topics=[{"id": None, "name": peer.topic("nosuch")}], create=False, authorized=False)
    peer.ask("Metadata", 12, topics=[], create=False, authorized=False)
    peer.ask("Metadata", 12, topics=[{"id": b"nosuchtopicid123", "name": None}], create=False, authorized=False)


def topic_partitions_are_described_in_pages(peer):
    peer.create(partitions=3)
    peer.ask("DescribeTopicPartitions", 0, topics=[{"name": peer.topic()}], limit=10, cursor=None)
    peer.ask("DescribeTopicPartitions", 0, topics=[{"name": peer.topic("nosuch")}], limit=10, cursor=None)


def the_cluster_has_a_controller_among_its_brokers(peer):
    reply = peer.connection.ask("DescribeCluster", 0, authorized=False)
    peer.note("cluster", (reply["error"], reply["controller"] in [one["node"] for one in reply["brokers"]]))


def _describe(peer, kind, name, keys=None):
    resource = {"type": kind, "name": name, "keys": keys}
    return peer.connection.ask("DescribeConfigs", 3, resources=[resource], synonyms=False, documentation=False)["results"][0]


def every_topic_config_has_its_default(peer):
    peer.create(retention_ms=4000)
    result = _describe(peer, 2, peer.topic())
    for config in sorted(result["configs"], key=lambda one: one["name"]):
        facts = tuple(config[key] for key in ("name", "value", "readonly", "sensitive", "type"))
        peer.note("config", (*facts, "default" if config["source"] != 1 else "topic"))
    peer.note("one key", [one["name"] for one in _describe(peer, 2, peer.topic(), ["retention.ms"])["configs"]])
    peer.note("unknown key", _describe(peer, 2, peer.topic(), ["no.such"])["configs"])
    for kind, name in ((2, peer.topic("nosuch")), (4, "99"), (4, "x"), (99, "x"), (2, "bad name")):
        peer.note(f"{kind} {name[-6:]}", _describe(peer, kind, name)["error"])


def configs_change_one_by_one(peer):
    peer.create()

    def alter(*configs, suffix="t", kind=2, validate=False):
        configs = [{"name": name, "operation": operation, "value": value} for name, operation, value in configs]
        resource = {"type": kind, "name": peer.topic(suffix), "configs": configs}
        peer.ask("IncrementalAlterConfigs", 0, resources=[resource], validate=validate)

    alter(("retention.ms", 0, "5000"), ("segment.bytes", 0, "2000000"))
    alter(("retention.ms", 1, None))
    alter(("cleanup.policy", 2, "compact"))
    alter(("cleanup.policy", 3, "delete"))
    alter(("retention.ms", 2, "5"))
    alter(("retention.ms", 0, "x"))
    alter(("no.such", 0, "1"))
    alter(("no.such", 1, None))
    alter(("retention.ms", 0, None))
    alter(("retention.ms", 9, "1"))
    alter(("retention.ms", 0, "1"), ("retention.ms", 0, "2"))
    alter(("retention.ms", 0, "7000"), validate=True)
    alter(("retention.ms", 0, "1"), suffix="nosuch")
    result = _describe(peer, 2, peer.topic(), ["retention.ms", "segment.bytes", "cleanup.policy"])
    peer.note("now", sorted((one["name"], one["value"]) for one in result["configs"]))


# Settings whose values are Java's classes or are read by machinery that Trivet does not have; and listeners, which the
# original can open while it runs.
ELSEWHERE = {
    "principal.builder.class", "ssl.engine.factory.class", "metric.reporters", "listeners", "listener.security.protocol.map",
    "log.local.retention.ms", "log.local.retention.bytes", "max.connections.per.ip.overrides",
}  # fmt: skip
# Settings that say where the broker is and how it was started.
PLACED = {
    "advertised.listeners", "controller.listener.names", "controller.quorum.voters", "listener.security.protocol.map",
    "listeners", "log.dirs", "offsets.topic.num.partitions", "share.coordinator.state.topic.min.isr",
    "share.coordinator.state.topic.replication.factor", "group.coordinator.rebalance.protocols",
    "group.initial.rebalance.delay.ms", "group.consumer.assignment.interval.ms", "broker.id", "node.id",
}  # fmt: skip
VALUES = ("", "-5", "-1", "0", "1", "200", "abc", "1.5", "2147483648", "99999999999999999999", "true", "a,b")


def _broker(peer):
    return str(peer.connection.ask("Metadata", 1, topics=[])["controller"])


def every_broker_config_has_its_value_and_source(peer):
    for name in (_broker(peer), ""):
        for config in sorted(_describe(peer, 4, name)["configs"], key=lambda one: one["name"]):
            facts = tuple(config[key] for key in ("name", "value", "readonly", "sensitive", "type", "source"))
            if config["name"] not in PLACED:
                peer.note(f"config of {'all' if not name else 'one'}", facts)


def _alter_group(peer, configs, validate=False, group="g"):
    """`configs` as (name, operation, value); the group's configs are noted as they are afterwards."""
    asked = [{"name": name, "operation": operation, "value": value} for name, operation, value in configs]
    resources = [{"type": 32, "name": peer.topic(group), "configs": asked}]
    reply = peer.connection.ask("IncrementalAlterConfigs", 0, resources=resources, validate=validate)["results"][0]
    peer.note(f"{configs}", (reply["error"], reply["message"]))


def _note_group(peer, name, keys=None):
    resource = {"type": 32, "name": name, "keys": keys}
    result = peer.connection.ask("DescribeConfigs", 3, resources=[resource], synonyms=True, documentation=False)["results"][0]
    peer.note("error", (result["error"], result["message"]))
    for config in sorted(result["configs"], key=lambda one: one["name"]):
        if f"group.{config['name']}" in PLACED:
            continue
        peer.note("config", tuple(config[key] for key in ("name", "value", "readonly", "sensitive", "type", "source")))
        peer.note("synonyms", [(one["name"], one["value"], one["source"]) for one in config["synonyms"]])


def _settled_configs(peer, name, value):
    """The original answers before its broker knows."""
    for _ in range(100):
        result = _describe(peer, 32, peer.topic("g"), [name])
        if result["configs"][0]["value"] == value:
            return
        time.sleep(0.1)


def _note_resources(peer, types):
    reply = peer.connection.ask("ListConfigResources", 1, types=types)
    named = sorted((one["type"], one["name"]) for one in reply["resources"] if one["type"] in (4, 8) or peer.topic("") in one["name"])
    peer.note(f"resources {types}", (reply["error"], named))


def resources_with_configs_are_listed(peer):
    peer.create()
    for group in ("g", "h"):
        _alter_group(peer, [("consumer.session.timeout.ms", 0, "50000")], group=group)
    _alter_group(peer, [("consumer.session.timeout.ms", 0, "50000")])
    _settled_configs(peer, "consumer.session.timeout.ms", "50000")
    for types in ([], [2], [4], [8], [16], [32], [32, 2, 32], [1], [99], [32, 99], [-1], [0]):
        _note_resources(peer, types)
    peer.ask("ListConfigResources", 0)
    for group in ("h", "g"):
        _alter_group(peer, [("consumer.session.timeout.ms", 1, None)], group=group)
    _settled_configs(peer, "consumer.session.timeout.ms", "45000")
    _note_resources(peer, [32])


def groups_have_configs(peer):
    for name in (peer.topic("g"), ""):
        _note_group(peer, name)
    session, beat = "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"
    for name, value in (
        ("no.such", "1"), (session, "x"), ("share.isolation.level", "x"), (session, "0"), (session, None),
        (session, "44999"), (session, "60001"), (session, "60000"), (beat, "4999"), (beat, "15001"), (beat, "6000"),
        ("share.auto.offset.reset", "x"), ("share.auto.offset.reset", "by_duration:PT1H"), ("share.heartbeat.interval.ms", "1"),
        ("share.session.timeout.ms", "1"), ("share.record.lock.duration.ms", "999"), ("share.record.lock.duration.ms", "14999"),
        ("share.record.lock.duration.ms", "3600000"), ("streams.session.timeout.ms", "1"), ("streams.num.standby.replicas", "7"),
        ("streams.heartbeat.interval.ms", "1"), ("share.heartbeat.interval.ms", "100000"), ("share.session.timeout.ms", "100000"),
        ("streams.heartbeat.interval.ms", "100000"), ("streams.session.timeout.ms", "100000"),
        ("streams.num.standby.replicas", "2"),
    ):  # fmt: skip
        _alter_group(peer, [(name, 0, value)], validate=True)
    _alter_group(peer, [(session, 2, "1")], validate=True)
    _alter_group(peer, [(session, 1, None)], validate=True)
    _alter_group(peer, [(session, 0, "50000")], validate=True, group="g/../x y")
    _alter_group(peer, [(session, 0, " 50000"), (beat, 0, "6000"), ("share.auto.offset.reset", 0, "earliest")])
    _settled_configs(peer, session, "50000")
    _note_group(peer, peer.topic("g"))
    _note_group(peer, peer.topic("other"), [session])
    _alter_group(peer, [(session, 1, None), (beat, 0, "5500")])
    _settled_configs(peer, beat, "5500")
    _note_group(peer, peer.topic("g"), [session, beat])


def values_of_configs_are_held_to_the_same_limits(peer):
    """Each setting of topics and brokers with values of every kind: the same ones are refused, in the same words."""
    peer.create()
    broker, topic = _broker(peer), peer.topic()
    names = {kind: sorted(one["name"] for one in _describe(peer, kind, name)["configs"]) for kind, name in ((2, topic), (4, broker))}
    names[2] += ["internal.segment.bytes"]
    for kind, resource, about in ((2, topic, names[2]), (4, broker, names[4]), (4, "", names[4])):
        for name in about:
            for value in VALUES if name not in ELSEWHERE else ():
                configs = [{"name": name, "operation": 0, "value": value}]
                asked = [{"type": kind, "name": resource, "configs": configs}]
                reply = peer.connection.ask("IncrementalAlterConfigs", 0, resources=asked, validate=True)["results"][0]
                peer.note(f"{kind} {name}={value}", (reply["error"], reply["message"]))


def requests_for_too_much_make_nothing(peer):
    """A request may make 10,000 records of topics, partitions and settings together."""
    for topics, partitions, configs in (
        (1, 9_999, 0), (1, 10_000, 0), (1, 10_001, 0), (2, 4_999, 0), (2, 5_000, 0), (2, 5_001, 0), (1, 9_998, 1), (1, 9_999, 1),
        (1, 100_000, 0), (5_001, 1, 0), (10_001, -1, 0),
    ):  # fmt: skip
        asked = [
            {"name": f"{peer.topic()}-{index}", "partitions": partitions, "replication": 1, "assignments": [],
             "configs": [{"name": "retention.ms", "value": "1000"}] * configs}
            for index in range(topics)
        ]  # fmt: skip
        reply = peer.connection.ask("CreateTopics", 5, topics=asked, timeout=60_000, validate=True)
        peer.note(f"{topics} of {partitions}", sorted({(one["error"], one["message"]) for one in reply["topics"]}, key=str))
    names = [peer.topic("once"), peer.topic("twice"), peer.topic("twice"), "bad name", "bad name"]
    reply = peer.connection.ask("Metadata", 12, topics=[{"id": None, "name": name} for name in names], create=False, authorized=False)
    peer.note("each name once", sorted((one["name"], one["error"]) for one in reply["topics"]))
    names = [f"{peer.topic()}-{index}" for index in range(10_001)]
    reply = peer.connection.ask("Metadata", 1, topics=names)
    peer.note("too many new topics", sorted({one["error"] for one in reply["topics"]}))
    peer.note("none was made", peer.connection.ask("Metadata", 12, topics=[{"id": None, "name": names[0]}], create=False, authorized=False)["topics"][0]["error"])


def coordinators_are_found_by_kind(peer):
    _settle(peer)
    for key, kind in (("g", 0), ("", 0), ("g", 9)):
        peer.ask("FindCoordinator", 2, key=key, type=kind)
    peer.ask("FindCoordinator", 4, type=0, keys=["a", "b"])
    peer.ask("FindCoordinator", 4, type=7, keys=["a"])


def _settle(peer):
    """Until the coordinator of the test's group has loaded, which the first requests to it must wait for."""
    while True:
        reply = peer.connection.ask("FindCoordinator", 2, key=peer.topic("g"), type=0)
        if reply["error"] == 0:
            part = {"group": peer.topic("g"), "generation": -1, "member": "", "instance": None}
            if peer.connection.ask("Heartbeat", 3, **part)["error"] == 25:  # one that loads says that all is well
                return


def _commit(peer, offset=5, member="", generation=-1, metadata="note", suffix="t", partition=0, group="g"):
    part = {"index": partition, "offset": offset, "epoch": -1, "metadata": metadata}
    topics = [{"name": peer.topic(suffix), "partitions": [part]}]
    peer.ask("OffsetCommit", 7, group=peer.topic(group), generation=generation, member=member, instance=None, topics=topics)


def offsets_are_committed_and_fetched(peer):
    peer.create(partitions=2)
    _settle(peer)
    _commit(peer)
    _commit(peer, offset=-1, partition=1)
    _commit(peer, metadata=None)
    _commit(peer, metadata="x" * 4096)
    _commit(peer, metadata="x" * 4097)
    _commit(peer, suffix="nosuch")
    _commit(peer, partition=7)
    _commit(peer, generation=3, member="nobody")
    _commit(peer, generation=-1, member="nobody")
    _commit(peer, offset=9, metadata="last")
    names = [{"name": peer.topic(), "partitions": [0, 1, 7]}]
    peer.ask("OffsetFetch", 5, group=peer.topic("g"), topics=names)
    peer.ask("OffsetFetch", 5, group=peer.topic("g"), topics=None)
    peer.ask("OffsetFetch", 5, group=peer.topic("no such group"), topics=names)
    groups = [{"group": peer.topic("g"), "topics": names}, {"group": peer.topic("other"), "topics": None}]
    peer.ask("OffsetFetch", 8, groups=groups, stable=True)
    doomed = [{"name": peer.topic(), "partitions": [{"index": 0}, {"index": 5}]}]
    peer.ask("OffsetDelete", 0, group=peer.topic("g"), topics=doomed)
    peer.ask("OffsetFetch", 5, group=peer.topic("g"), topics=None)
    peer.ask("OffsetDelete", 0, group=peer.topic("no such group"), topics=doomed)


def offsets_are_refused_with_a_reason(peer):
    peer.create()
    _settle(peer)
    for group, generation, member in (("", -1, ""), ("", 1, "m"), (None, 0, "")):
        part = {"index": 0, "offset": 1, "epoch": -1, "metadata": ""}
        topics = [{"name": peer.topic(), "partitions": [part, part | {"index": -1}]}, {"name": "", "partitions": [part]}]
        peer.ask("OffsetCommit", 7, group=peer.topic("g") if group is None else group, generation=generation, member=member,
                 instance=None, topics=topics)  # fmt: skip
    peer.ask("OffsetFetch", 5, group="", topics=[{"name": peer.topic(), "partitions": [0]}])
    peer.ask("OffsetFetch", 5, group=peer.topic("g"), topics=[])
    groups = [{"group": "", "topics": None}, {"group": peer.topic("g"), "topics": None}]
    peer.ask("OffsetFetch", 8, groups=groups, stable=False)
    peer.ask("OffsetFetch", 8, groups=[], stable=False)
    peer.ask("DeleteGroups", 1, groups=["", peer.topic("none")])
    peer.ask("DescribeGroups", 4, groups=["", peer.topic("none")], authorized=False)


def resources_are_altered_once(peer):
    peer.create()
    configs = [{"name": "retention.ms", "operation": 0, "value": "1000"}]
    once = {"type": 2, "name": peer.topic(), "configs": configs}
    peer.ask("IncrementalAlterConfigs", 0, resources=[once, once], validate=False)
    for kind, name in ((4, "99"), (4, "x"), (99, "x"), (2, ""), (2, "bad name"), (0, "t")):
        peer.ask("IncrementalAlterConfigs", 0, resources=[{"type": kind, "name": name, "configs": configs}], validate=True)
    peer.ask("IncrementalAlterConfigs", 0, resources=[], validate=False)
    peer.ask("DeleteTopics", 3, topics=[peer.topic("none"), peer.topic("none")], timeout=5000)


def _join(peer, member="", session=10_000, version=7, kind="consumer", protocols=None, instance=None, group="g"):
    fields = {
        "group": peer.topic(group) if group else "", "session": session, "rebalance": 10_000, "member": member, "type": kind,
        "protocols": PROTOCOLS if protocols is None else protocols,
    }  # fmt: skip
    if version >= 5:
        fields["instance"] = instance
    return peer.ask("JoinGroup", version, **fields)


def _sync(peer, member, generation, assignments=(), protocol="range", kind="consumer", instance=None):
    assignments = [{"id": one, "data": data} for one, data in assignments]
    return peer.ask("SyncGroup", 5, group=peer.topic("g"), generation=generation, member=member, instance=instance, type=kind,
                    protocol=protocol, assignments=assignments)  # fmt: skip


def _beat(peer, member, generation, instance=None):
    peer.ask("Heartbeat", 3, group=peer.topic("g"), generation=generation, member=member, instance=instance)


def _leave(peer, *members):
    members = [{"id": member, "instance": instance} for member, instance in members]
    peer.ask("LeaveGroup", 3, group=peer.topic("g"), members=members)


def _describe_group(peer, group="g"):
    reply = peer.connection.ask("DescribeGroups", 4, groups=[peer.topic(group)], authorized=False)
    told = reply["groups"][0]
    members = [(one["instance"], one["client"], one["data"], one["assignment"]) for one in told["members"]]
    peer.note("describe", (told["error"], told["state"], told["type"], told["protocol"], members))


def joining_is_checked(peer):
    _settle(peer)
    _join(peer, group="")
    _join(peer, session=1)
    _join(peer, session=10_000_000)
    _join(peer, protocols=[])
    _join(peer, kind="")
    _join(peer, member="nobody")
    _join(peer, member="nobody", version=2)


def a_member_joins_syncs_beats_and_leaves(peer):
    _settle(peer)
    first = _join(peer)["member"]
    told = _join(peer, member=first)
    _beat(peer, first, told["generation"])
    _sync(peer, first, told["generation"], [(first, b"all")])
    _describe_group(peer)
    _beat(peer, first, told["generation"])
    _beat(peer, first, told["generation"] + 1)
    _beat(peer, "nobody", told["generation"])
    _sync(peer, first, told["generation"] + 5)
    _sync(peer, first, told["generation"], protocol="other")
    _sync(peer, first, told["generation"], kind="other")
    _sync(peer, "nobody", told["generation"])
    _sync(peer, first, told["generation"])
    _join(peer, kind="other kind")
    _join(peer, protocols=[{"name": "unheard of", "data": b""}])
    peer.create()
    _commit(peer, member=first, generation=told["generation"])
    _commit(peer, member=first, generation=told["generation"] - 1)
    _commit(peer)
    peer.ask("DeleteGroups", 1, groups=[peer.topic("g"), peer.topic("no such group")])
    again = _join(peer, member=first)
    _sync(peer, first, again["generation"], [(first, b"again")])
    _leave(peer, (first, None), ("nobody", None))
    _beat(peer, first, again["generation"])
    _describe_group(peer)
    _describe_group(peer, "no such group")
    peer.ask("DeleteGroups", 1, groups=[peer.topic("g")])
    _describe_group(peer)


def an_old_client_joins_without_asking_for_an_id(peer):
    _settle(peer)
    told = _join(peer, version=2)
    reply = peer.ask("SyncGroup", 3, group=peer.topic("g"), generation=told["generation"], member=told["member"],
                     instance=None, assignments=[{"id": told["member"], "data": b"mine"}])  # fmt: skip
    assert reply["error"] == 0
    _beat(peer, told["member"], told["generation"])
    _leave(peer, (told["member"], None))


def a_static_member_is_replaced_and_the_old_one_fenced(peer):
    _settle(peer)
    first = _join(peer, instance="static")
    _sync(peer, first["member"], first["generation"], [(first["member"], b"kept")], instance="static")
    second = _join(peer, instance="static")
    _sync(peer, second["member"], second["generation"], instance="static")
    _beat(peer, first["member"], first["generation"], instance="static")
    _beat(peer, second["member"], second["generation"], instance="static")
    _beat(peer, second["member"], second["generation"], instance="unknown name")
    _join(peer, member=first["member"], instance="static")
    _describe_group(peer)
    _leave(peer, ("", "static"), ("", "unknown name"))
    _describe_group(peer)


def groups_are_listed_by_state(peer):
    _settle(peer)
    peer.create()
    _commit(peer)
    for states in ([], ["Empty"], ["Stable"], ["nonsense"]):
        reply = peer.connection.ask("ListGroups", 4, states=states)
        mine = [one for one in reply["groups"] if one["group"].startswith(peer.prefix)]
        peer.note(f"list {states}", (reply["error"], [(one["type"], one["state"]) for one in mine]))


def producer_ids_are_given_out_once(peer):
    while peer.connection.ask("InitProducerId", 1, transaction=None, timeout=1000)["error"] == 14:
        pass  # the coordinator is still loading
    first = peer.connection.ask("InitProducerId", 1, transaction=None, timeout=1000)
    second = peer.connection.ask("InitProducerId", 3, transaction=None, timeout=1000, producer=-1, epoch=-1)
    told = [(one["error"], one["epoch"], one["producer"] >= 0) for one in (first, second)]
    peer.note("ids", (told, first["producer"] != second["producer"]))
    third = peer.connection.ask("InitProducerId", 3, transaction=None, timeout=1000, producer=second["producer"], epoch=0)
    peer.note("again", (third["error"], third["producer"] == second["producer"], third["epoch"]))
    peer.ask("InitProducerId", 1, transaction="", timeout=1000)


CASES = [
    value for name, value in list(globals().items())
    if callable(value) and getattr(value, "__module__", "") == __name__ and not name.startswith("_")
]  # fmt: skip

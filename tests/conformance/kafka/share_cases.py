"""Cases about share groups: members that acquire records, answer them, or let them go."""

import random
import time
import uuid

from wire.kafka import Connection, batch, batches

from .txn_cases import Client

ACCEPT, RELEASE, REJECT, RENEW = 1, 2, 3, 4
GAP = 0
# The coordinator makes its topic, reads a partition, or has not assigned yet: who asks again hears what counts.
PATIENCE_SECONDS = 10


class Member:
    """A member of a share group: its session, and what it asks."""

    def __init__(self, peer, group="g", topics=("t",), version=2, connection=None, name=None):
        self.peer, self.group, self.version = peer, peer.topic(group), version
        self.id = name or str(uuid.uuid4())
        self.connection = connection or Connection(peer.port)
        self.topics = topics
        self.ids = {suffix: topic_id(peer, suffix) for suffix in topics}
        self.epoch = 0
        self.joins_ranges = False

    def join(self, until=None):
        """Heartbeats until the partitions are assigned."""
        names, epoch = [self.peer.topic(suffix) for suffix in self.topics], 0
        self.find_coordinator()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            reply = self.connection.ask("ShareGroupHeartbeat", 1, group=self.group, member=self.id, epoch=epoch, rack=None,
                                        topics=names)  # fmt: skip
            if reply["error"] == 0:
                epoch, names = reply["epoch"], None
                if reply["assigned"] and len(reply["assigned"]) == len(self.topics):
                    return self
            time.sleep(0.05)
        raise AssertionError("nothing was assigned")

    def find_coordinator(self):
        """Makes the coordinator's topic, too."""
        while self.connection.ask("FindCoordinator", 2, key=self.group, type=0)["error"]:
            time.sleep(0.05)

    def request(self, topics, acks):
        parts = [{"index": 0, "acks": acks}]
        return [{"id": self.ids[suffix], "partitions": parts} for suffix in topics]

    def fetch(self, acks=(), topics=None, wait=0, minimum=1, most=1 << 20, records=500, batches=500, mode=0, renews=False,
              epoch=None, forgotten=(), note=True, tell=True):  # fmt: skip
        """Asks, notes the answer, and steps to the next epoch."""
        named = self.topics if topics is None and (self.epoch == 0 or acks) else topics or ()
        fields = {"group": self.group, "member": self.id, "epoch": self.epoch if epoch is None else epoch, "wait": wait,
                  "min": minimum, "max": most, "records": records, "batch": batches,
                  "topics": self.request(named, list(acks)),
                  "forgotten": [{"id": self.ids[suffix], "partitions": [0]} for suffix in forgotten]}  # fmt: skip
        if self.version >= 2:
            fields |= {"mode": mode, "renews": renews}
        reply = self.connection.ask("ShareFetch", self.version, **fields)
        if note:
            self.peer.note("fetch", self.told(reply))
        if reply["error"] == 0 and epoch is None:
            self.epoch += 1
        return reply

    def settled_fetch(self, **how):
        """The first answers may be empty: a share partition is read when it is asked for, and a coordinator's topic made."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            reply = self.fetch(note=False, wait=500, **how)
            parts = [part for topic in reply["topics"] for part in topic["partitions"]]
            if any(part["acquired"] for part in parts) or time.monotonic() > deadline:
                self.peer.note("fetch", self.told(reply, all_parts=False))
                return reply

    def acknowledge(self, *acks, epoch=None, renews=False, topics=("t",), note=True, partitions=None):
        fields = {"group": self.group, "member": self.id, "epoch": self.epoch if epoch is None else epoch,
                  "topics": self.request(topics, list(acks))}  # fmt: skip
        if self.version >= 2:
            fields["renews"] = renews
        reply = self.connection.ask("ShareAcknowledge", self.version, **fields)
        if note:
            self.peer.note("acknowledge", self.told(reply))
        if reply["error"] == 0 and epoch is None:
            self.epoch += 1
        return reply

    def told(self, reply, all_parts=True):
        names = {value: key for key, value in self.ids.items()}
        told = {key: reply[key] for key in ("error", "lock") if key in reply}
        rows = []
        for topic in reply["topics"]:
            for part in topic["partitions"]:
                row = {"topic": names.get(topic["id"], "?"), "index": part["index"], "error": part["error"]}
                if "records" in part:
                    row |= {"ack_error": part["ack_error"],
                            "batches": [(one["base"], one["last"]) for one in batches(part["records"])],
                            "acquired": self.ranges(part["acquired"])}  # fmt: skip
                if all_parts or row["error"] or row["acquired"]:
                    rows.append(row)
        return told | {"parts": sorted(rows, key=str)}

    def ranges(self, acquired):
        """How records of one fate are cut into ranges differs with what was acquired together before."""
        found = []
        for one in acquired:
            first, last, deliveries = one["first"], one["last"], one["deliveries"]
            if self.joins_ranges and found and found[-1][1] + 1 == first and found[-1][2] == deliveries:
                first = found.pop()[0]
            found.append((first, last, deliveries))
        return found

    def close(self):
        self.connection.close()


def topic_id(peer, suffix):
    topics = [{"id": bytes(16), "name": peer.topic(suffix)}]
    reply = peer.connection.ask("Metadata", 12, topics=topics, create=False, authorized=False)
    return reply["topics"][0]["id"]


def ack(first, last, *types):
    return {"first": first, "last": last, "types": list(types)}


def configure(peer, group="g", **settings):
    configs = [{"name": "share." + key.replace("_", "."), "operation": 0, "value": str(value)}
               for key, value in settings.items()]  # fmt: skip
    resources = [{"type": 32, "name": peer.topic(group), "configs": configs}]
    reply = peer.connection.ask("IncrementalAlterConfigs", 0, resources=resources, validate=False)
    assert [result["error"] for result in reply["results"]] == [0], reply


def begin(peer, records=(3, 2, 5), version=2, **settings):
    """A topic with batches of so many records, and a member of a group that reads it from its start."""
    peer.create()
    for count in records:
        peer.produce(batch([b"v"] * count))
    configure(peer, **({"auto_offset_reset": "earliest"} | settings))
    return Member(peer, version=version).join()


# ---- acquiring


def acquires_and_accepts(peer):
    member = begin(peer)
    member.settled_fetch()
    member.fetch()
    member.fetch(acks=[ack(0, 9, ACCEPT)])
    member.fetch()
    peer.produce(batch([b"w"] * 2))
    member.fetch(wait=1000)
    member.fetch(acks=[ack(10, 10, ACCEPT), ack(11, 11, REJECT)], epoch=-1)


def the_first_version(peer):
    member = begin(peer, version=1)
    member.settled_fetch()
    member.acknowledge(ack(0, 1, ACCEPT), ack(2, 3, RELEASE), ack(4, 9, 1, 1, 2, 3, 0, 1))
    member.fetch()
    member.acknowledge(ack(2, 3, RENEW))
    member.acknowledge(ack(2, 3, ACCEPT), epoch=-1)


def limits_of_records(peer):
    member = begin(peer, records=(3, 2, 5, 1, 1, 1))
    member.settled_fetch(records=4)
    member.fetch(records=1)
    member.fetch(records=2)
    member.fetch(records=0)


def sizes_of_batches(peer):
    member = begin(peer, records=(3, 2, 5, 1, 1, 1))
    member.settled_fetch(batches=4)
    member.acknowledge(ack(0, 12, RELEASE))
    member.fetch(batches=4)


def limits_that_are_strict(peer):
    member = begin(peer)
    member.settled_fetch(records=4, mode=1)
    member.fetch(records=1, mode=1)
    member.fetch(records=3, mode=1, batches=2)
    member.acknowledge(ack(0, 7, RELEASE))
    member.fetch(records=5, mode=1)
    member.fetch(records=500, mode=0)


def bytes_that_are_too_few(peer):
    member = begin(peer, records=(1, 1, 1))
    member.settled_fetch(most=1)
    member.fetch(most=100)
    member.fetch(most=0)
    member.fetch(minimum=0)


# ---- answers


def answers_of_all_kinds(peer):
    member = begin(peer)
    member.settled_fetch()
    member.acknowledge(ack(0, 2, ACCEPT, RELEASE, REJECT), ack(3, 4, RELEASE), ack(5, 6, GAP))
    member.fetch()
    member.acknowledge(ack(1, 1, RENEW), renews=True)
    member.acknowledge(ack(1, 1, ACCEPT), ack(3, 4, REJECT), ack(7, 9, 1, 1, 1))
    member.fetch()


def answers_that_are_wrong(peer):
    member = begin(peer)
    member.settled_fetch()
    for acks in (
        [ack(3, 2, ACCEPT)], [ack(0, 2, ACCEPT), ack(1, 3, ACCEPT)], [ack(0, 2)], [ack(0, 2, 1, 1)], [ack(0, 2, 1, 1, 1, 1)],
        [ack(0, 2, 5)], [ack(0, 2, -1)], [ack(0, 2, RENEW)], [ack(100, 101, ACCEPT)], [ack(9, 10, ACCEPT)], [ack(-5, -1, ACCEPT)],
        [ack(0, 1, ACCEPT), ack(1, 2, ACCEPT)], [],
    ):  # fmt: skip
        member.acknowledge(*acks)
    member.acknowledge(ack(0, 4, ACCEPT))
    member.acknowledge(ack(0, 4, ACCEPT))
    member.acknowledge(ack(4, 5, ACCEPT))
    member.acknowledge(ack(5, 9, ACCEPT), ack(11, 12, ACCEPT))
    member.acknowledge(ack(5, 9, ACCEPT))
    member.acknowledge(ack(5, 9, ACCEPT))


def answers_of_another_member(peer):
    member = begin(peer)
    member.settled_fetch(records=3)
    other = Member(peer).join()
    other.settled_fetch(records=2)
    member.acknowledge(ack(3, 4, ACCEPT))
    other.acknowledge(ack(2, 3, ACCEPT))
    other.acknowledge(ack(3, 4, ACCEPT))


def answers_to_topics_that_are_unknown(peer):
    member = begin(peer)
    member.settled_fetch()
    member.ids["none"] = bytes(15) + b"7"
    member.acknowledge(ack(0, 1, ACCEPT), topics=("none",))
    member.acknowledge(topics=("none",))
    member.fetch(acks=[ack(0, 1, ACCEPT)], topics=("t", "none"))


def answers_that_renew(peer):
    member = begin(peer)
    member.settled_fetch()
    member.fetch(acks=[ack(0, 1, RENEW)], renews=True)
    member.fetch(acks=[ack(0, 1, RENEW)], renews=True, wait=0, minimum=0, most=0, records=0)
    member.fetch(acks=[ack(0, 1, RENEW)], wait=0, minimum=0, most=0, records=0)
    member.fetch(renews=True, wait=0, minimum=0, most=0, records=0)


def deliveries_that_are_counted(peer):
    member = begin(peer, records=(2,))
    member.settled_fetch()
    for _ in range(4):
        member.acknowledge(ack(0, 1, RELEASE))
        member.fetch()
    member.acknowledge(ack(0, 1, RELEASE))
    member.fetch()


# ---- sessions


def sessions_that_do_not_fit(peer):
    member = begin(peer)
    member.fetch(epoch=1)
    member.fetch(epoch=-1)
    member.fetch(epoch=-2)
    member.acknowledge(epoch=0)
    member.acknowledge(epoch=-1)
    member.acknowledge(epoch=3)
    member.fetch(acks=[ack(0, 1, ACCEPT)], epoch=0)
    member.settled_fetch()
    member.fetch(epoch=99)
    member.acknowledge(ack(0, 9, ACCEPT), epoch=99)
    member.fetch(epoch=0, topics=("t",))
    member.epoch = 1
    member.acknowledge(ack(0, 9, ACCEPT))


def sessions_of_nobody(peer):
    peer.create()
    member = Member(peer)
    for group, name in ((None, "m"), ("g", ""), ("g", None), ("g", "m" * 37), ("", "m")):
        for api in ("ShareFetch", "ShareAcknowledge"):
            fields = {"group": group, "member": name, "epoch": 3, "renews": False, "topics": []}
            if api == "ShareFetch":
                fields |= {"wait": 0, "min": 1, "max": 100, "records": 1, "batch": 1, "mode": 0, "forgotten": []}
            try:
                peer.note(api, member.told(member.connection.ask(api, 2, **fields)))
            except ConnectionError:
                peer.note(api, "closed")
                member.connection = Connection(peer.port)


def sessions_that_end(peer):
    member = begin(peer)
    member.settled_fetch()
    other = Member(peer).join()
    other.settle = other.fetch(wait=300)
    member.acknowledge(ack(0, 1, ACCEPT), epoch=-1)
    other.settled_fetch()
    member.acknowledge(epoch=-1)


def connections_that_end(peer):
    member = begin(peer)
    member.settled_fetch()
    other = Member(peer).join()
    other.fetch()
    member.close()
    other.settled_fetch()


def partitions_that_are_forgotten(peer):
    peer.create("u")
    member = begin(peer)
    other = Member(peer, topics=("t", "u"), name=member.id, connection=member.connection)
    other.join()
    other.settled_fetch()
    peer.produce(batch([b"v"]), suffix="u")
    other.settled_fetch(forgotten=("t",))
    other.fetch()
    other.fetch(topics=("t",))
    other.acknowledge(ack(0, 9, ACCEPT))


def topics_that_are_unknown(peer):
    member = begin(peer)
    member.ids["none"] = bytes(15) + b"7"
    member.topics = ("none",)
    member.fetch()
    member.fetch()
    member.settled_fetch(topics=("t",))


def partitions_that_are_unknown(peer):
    member = begin(peer)
    request = [{"id": member.ids["t"], "partitions": [{"index": 7, "acks": []}]}]
    for epoch in (0, 1):
        reply = member.connection.ask("ShareFetch", 2, group=member.group, member=member.id, epoch=epoch, wait=0, min=1, max=100,
                                      records=1, batch=1, mode=0, renews=False, topics=request, forgotten=[])  # fmt: skip
        peer.note("fetch", member.told(reply))


# ---- what the log does


def markers_and_aborted_records(peer):
    peer.create()
    for commits in (True, False):
        write_transaction(peer, commits)
    peer.produce(batch([b"v"]))
    for isolation in ("read_committed", "read_uncommitted"):
        configure(peer, group=isolation, auto_offset_reset="earliest", isolation_level=isolation)
        member = Member(peer, group=isolation).join()
        member.settled_fetch()
        member.fetch()


def write_transaction(peer, commits):
    """Two records and a marker."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    client = Client(peer, suffix=f"x{commits}")
    while peer.connection.ask("FindCoordinator", 2, key=client.transaction, type=1)["error"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.begin()
    client.add(0)
    client.write()
    client.write()
    client.end(commits)
    while stable_offset(peer) != (3 if commits else 6):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def stable_offset(peer):
    topics = [{"name": peer.topic(), "partitions": [{"index": 0, "epoch": -1, "time": -1}]}]
    reply = peer.connection.ask("ListOffsets", 5, replica=-1, isolation=1, topics=topics)
    return reply["topics"][0]["partitions"][0]["offset"]


def records_that_are_deleted(peer):
    member = begin(peer)
    member.settled_fetch(records=3)
    topics = [{"name": peer.topic(), "partitions": [{"index": 0, "offset": 5}]}]
    peer.connection.ask("DeleteRecords", 1, topics=topics, timeout=5000)
    member.settled_fetch()
    member.acknowledge(ack(0, 2, ACCEPT))
    member.acknowledge(ack(5, 9, ACCEPT))


def starts_at_the_end(peer):
    peer.create()
    peer.produce(batch([b"v"] * 3))
    configure(peer, auto_offset_reset="latest")
    member = Member(peer).join()
    member.fetch(wait=1500)
    peer.produce(batch([b"w"] * 2))
    member.settled_fetch()


# ---- at random


def random_members(peer, seed):
    """Two members of a group acquire, answer, and release, in any order."""
    chance = random.Random(seed)
    first = begin(peer, records=[chance.randint(1, 6) for _ in range(6)])
    first.settled_fetch(records=1)
    second = Member(peer).join()
    first.joins_ranges = second.joins_ranges = True
    second.settled_fetch(records=1)
    for _ in range(60):
        member = chance.choice((first, second))
        what = chance.random()
        if what < 0.35:
            member.fetch(records=chance.randint(1, 8), mode=chance.randint(0, 1))
        elif what < 0.9:
            at = chance.randint(0, 20)
            acks = []
            for _ in range(chance.randint(1, 3)):
                last = at + chance.randint(0, 3)
                acks.append(ack(at, last, chance.choice((ACCEPT, ACCEPT, RELEASE, REJECT, GAP))))
                at = last + chance.randint(1, 3)
            if chance.random() < 0.7:
                member.acknowledge(*acks)
            else:  # what a fetch gives back, Kafka stores later than it looks for records
                member.fetch(acks=[one for one in acks if one["types"] != [RELEASE]], records=chance.randint(1, 4))
        else:
            peer.produce(batch([b"v"] * chance.randint(1, 4)))


def random_case(seed):
    def case(peer):
        random_members(peer, seed)

    case.__name__ = f"random_members_{seed}"
    return case


CASES = [
    acquires_and_accepts, the_first_version, limits_of_records, sizes_of_batches, limits_that_are_strict, bytes_that_are_too_few,
    answers_of_all_kinds, answers_that_are_wrong, answers_of_another_member, answers_to_topics_that_are_unknown,
    answers_that_renew, deliveries_that_are_counted, sessions_that_do_not_fit, sessions_of_nobody, sessions_that_end,
    connections_that_end, partitions_that_are_forgotten, topics_that_are_unknown, partitions_that_are_unknown,
    markers_and_aborted_records, records_that_are_deleted, starts_at_the_end, *(random_case(seed) for seed in range(12)),
]  # fmt: skip

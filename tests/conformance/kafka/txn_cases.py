"""Cases about transactions: producers that begin, write, commit, abort and fence one another."""

import random
import time

from wire.kafka import batch

TRANSACTIONAL = 0x10
# A marker may be on its way still, or a topic has just been made: who asks again hears what counts.
PASSING = {14, 15, 16, 19, 51}
PATIENCE_SECONDS = 20


class Client:
    """A producer of one transactional id, and what it knows of its own id and epoch."""

    def __init__(self, peer, suffix="x"):
        self.peer, self.transaction = peer, peer.topic(suffix)
        self.producer, self.epoch, self.sequences = -1, -1, {}
        self.known = peer.__dict__.setdefault("known_producers", {})

    def settle(self, what, ask, errors_of):
        """Asks until the answer is one that stays, and notes its errors."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            reply = ask()
            errors = errors_of(reply)
            if not PASSING & set(errors) or time.monotonic() > deadline:
                self.peer.note(what, errors)
                return reply
            time.sleep(0.02)

    def alias(self, producer):
        return self.known.setdefault(producer, len(self.known)) if producer >= 0 else producer

    def ask(self, api, version, **fields):
        return self.peer.connection.ask(api, version, **fields)

    def begin(self, expected=None, timeout=60_000):
        producer, epoch = expected or (-1, -1)
        reply = self.settle("begin", lambda: self.ask("InitProducerId", 3, transaction=self.transaction, timeout=timeout,
                            producer=producer, epoch=epoch), lambda reply: [reply["error"]])  # fmt: skip
        if reply["error"] == 0:
            self.producer, self.epoch, self.sequences = reply["producer"], reply["epoch"], {}
        self.peer.note("is", (self.alias(reply["producer"]), reply["epoch"]))

    def add(self, *partitions, suffix="t", epoch=None, producer=None):
        topics = [{"name": self.peer.topic(suffix), "partitions": list(partitions)}]
        self.settle("add", lambda: self.ask("AddPartitionsToTxn", 3, transaction=self.transaction,
                    producer=self.producer if producer is None else producer, epoch=self.epoch if epoch is None else epoch,
                    topics=topics), errors_of_topics)  # fmt: skip

    def write(self, partition=0, version=9, epoch=None, sequence=None, attributes=TRANSACTIONAL):
        epoch = self.epoch if epoch is None else epoch
        first = self.sequences.get(partition, 0) if sequence is None else sequence
        records = batch([b"v"], producer=self.producer, epoch=epoch, sequence=first, attributes=attributes)
        topics = [{"name": self.peer.topic(), "partitions": [{"index": partition, "records": records}]}]
        reply = self.settle("write", lambda: self.ask("Produce", version, transaction=self.transaction, acks=-1, timeout=5000,
                            topics=topics), errors_of_topics)  # fmt: skip
        if errors_of_topics(reply) == [0]:
            self.sequences[partition] = first + 1

    def offset(self, offset, version=3, group="g"):
        parts = [{"index": 0, "offset": offset, "leader_epoch": -1, "metadata": ""}]
        self.settle("offset", lambda: self.ask("TxnOffsetCommit", version, transaction=self.transaction,
                    group=self.peer.topic(group), producer=self.producer, epoch=self.epoch, generation=-1, member="",
                    instance=None, topics=[{"name": self.peer.topic(), "partitions": parts}]), errors_of_topics)  # fmt: skip

    def add_offsets(self, group="g"):
        self.settle("add offsets", lambda: self.ask("AddOffsetsToTxn", 3, transaction=self.transaction, producer=self.producer,
                    epoch=self.epoch, group=self.peer.topic(group)), lambda reply: [reply["error"]])  # fmt: skip

    def end(self, commits, version=3, epoch=None, producer=None):
        reply = self.settle("end", lambda: self.ask("EndTxn", version, transaction=self.transaction,
                            producer=self.producer if producer is None else producer,
                            epoch=self.epoch if epoch is None else epoch, commits=commits),
                            lambda reply: [reply["error"]])  # fmt: skip
        if version >= 5:
            self.peer.note("is", (self.alias(reply["producer"]), reply["epoch"]))
            if reply["error"] == 0:
                if reply["epoch"] != self.epoch:
                    self.sequences = {}
                self.producer, self.epoch = reply["producer"], reply["epoch"]
        self.rest()

    def rest(self):
        """Waits until no marker is on its way, and notes where the transaction is."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            (state,) = self.ask("DescribeTransactions", 0, transactions=[self.transaction])["transactions"]
            if not state["state"].startswith("Prepare") or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        topics = sorted((topic["name"].removeprefix(self.peer.prefix), sorted(topic["partitions"])) for topic in state["topics"]
                        if topic["name"] != "__consumer_offsets")  # fmt: skip
        self.peer.note("rests", (state["error"], state["state"], self.alias(state["producer"]), state["epoch"], topics))

    def see(self, partitions=1):
        """What is stored, what may be read, and what the partition knows of producers."""
        for partition in range(partitions):
            part = {"index": partition, "offset": 0, "max": 1 << 20}
            reply = self.ask("Fetch", 4, replica=-1, wait=0, min=0, max=1 << 20, isolation=1,
                             topics=[{"name": self.peer.topic(), "partitions": [part]}])  # fmt: skip
            part = reply["topics"][0]["partitions"][0]
            aborted = sorted((self.alias(one["producer"]), one["first"]) for one in part["aborted"])
            self.peer.note("sees", (part["error"], part["high"], part["stable"], aborted, kinds(self.peer.normal(part["records"], "records"))))
        reply = self.ask("DescribeProducers", 0, topics=[{"name": self.peer.topic(), "partitions": list(range(partitions))}])
        for part in reply["topics"][0]["partitions"]:
            known = [(self.alias(one["producer"]), one["epoch"], one["sequence"], one["start"]) for one in part["producers"]]
            self.peer.note("knows", (part["index"], part["error"], sorted(known)))


def errors_of_topics(reply):
    """In the order of names and indexes: the original answers in that of its hashes, which the topic's name decides."""
    found = sorted((topic["name"], part["index"], part["error"]) for topic in reply["topics"] for part in topic["partitions"])
    return [error for _, _, error in found]


def errors_by_index(topic):
    return sorted((part["index"], part["error"]) for part in topic["partitions"])


def kinds(batches):
    return [(one["base"], one["last"], one["attributes"]) for one in batches]


def prepared(peer, partitions=2):
    peer.create(partitions=partitions)
    for kind in (0, 1):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while peer.connection.ask("FindCoordinator", 2, key=peer.topic(), type=kind)["error"] and time.monotonic() < deadline:
            time.sleep(0.1)
    return Client(peer)


def a_transaction_of_the_first_protocol(peer):
    one = prepared(peer)
    one.add(0)
    one.begin()
    one.end(True)
    one.write()
    one.add(0, 7)
    one.add(0)
    one.write()
    one.write(1)
    one.see(2)
    one.end(True)
    one.see(2)
    one.end(True)
    one.end(False)
    one.write()
    one.add(0, 1)
    one.write()
    one.write(1)
    one.end(False)
    one.see(2)


def a_transaction_of_the_second_protocol(peer):
    one = prepared(peer)
    one.begin()
    one.end(True, 5)
    one.write(version=12)
    one.write(1, version=12)
    one.write(version=12, attributes=0)
    one.see(2)
    before = one.epoch
    one.end(True, 5)
    one.end(True, 5, epoch=before)
    one.end(False, 5, epoch=before)
    one.end(True, 5)
    one.end(False, 5)
    one.write(version=12, epoch=before)
    one.write(version=12)
    one.end(False, 5)
    one.see(2)


def producers_fence_one_another(peer):
    one, other = prepared(peer), Client(peer)
    one.begin()
    one.add(0)
    one.write()
    other.begin()
    one.write()
    one.add(0)
    one.end(True)
    one.begin((one.producer, one.epoch))
    other.add(0)
    other.write()
    other.end(True)
    other.see()
    other.begin((other.producer, other.epoch))
    other.begin((other.producer, other.epoch - 1))
    other.begin((other.producer, other.epoch - 2))
    other.begin((other.producer + 1_000_000, 0))


def producers_of_the_second_protocol_fence_one_another(peer):
    one, other = prepared(peer), Client(peer)
    one.begin()
    one.write(version=12)
    other.begin()
    one.write(version=12)
    one.end(True, 5)
    one.end(False, 5)
    other.write(version=12)
    other.end(True, 5)
    other.see()


def requests_of_transactions_are_checked(peer):
    one = prepared(peer)
    for timeout in (0, -1, 900_001, 900_000):
        one.begin(timeout=timeout)
    one.begin(expected=(5, -1))
    one.begin(expected=(-1, 5))
    one.add(0, epoch=9)
    one.add(0, producer=12345)
    one.add(0, suffix="none")
    one.end(True, producer=12345)
    one.end(True, epoch=9)
    one.end(True, 1, epoch=9)
    one.add(0)
    one.write(epoch=9)
    one.write()
    one.write(attributes=0)
    Client(peer, "other").end(True)
    peer.ask("InitProducerId", 3, transaction="", timeout=1000, producer=-1, epoch=-1)
    peer.ask("EndTxn", 3, transaction="", producer=1, epoch=0, commits=True)
    verify = {"transaction": one.transaction, "producer": one.producer, "epoch": one.epoch, "verify": True,
              "topics": [{"name": peer.topic(), "partitions": [0, 1]}]}  # fmt: skip
    reply = one.ask("AddPartitionsToTxn", 4, transactions=[verify])
    peer.note("verified", (reply["error"], [errors_by_index(topic) for found in reply["transactions"] for topic in found["topics"]]))


def offsets_wait_for_their_transaction(peer):
    one = prepared(peer)
    one.begin()
    one.offset(3)
    one.add_offsets()
    one.offset(3)
    fetched(peer)
    one.end(True)
    fetched(peer)
    one.offset(4, version=5)
    fetched(peer)
    one.end(False)
    fetched(peer)
    one.add_offsets()
    one.offset(6)
    one.offset(7)
    parts = [{"index": 0, "offset": 20, "epoch": -1, "metadata": ""}]
    peer.ask("OffsetCommit", 7, group=peer.topic("g"), generation=-1, member="", instance=None,
             topics=[{"name": peer.topic(), "partitions": parts}])  # fmt: skip
    one.end(True)
    fetched(peer)


def fetched(peer):
    for stable in (False, True):
        groups = [{"group": peer.topic("g"), "topics": [{"name": peer.topic(), "partitions": [0, 1]}]}]
        peer.ask("OffsetFetch", 8, groups=groups, stable=stable)


def markers_are_written_by_request(peer):
    one = prepared(peer)
    one.begin()
    one.add(0)
    one.write()
    one.end(True)
    one.begin()
    one.add(0)
    one.write()
    for producer, epoch, coordinator, commits in ((one.producer, one.epoch - 1, 0, False), (one.producer, one.epoch, 7, False),
                                                  (one.producer, one.epoch, 3, True), (999_999, 0, 0, True)):  # fmt: skip
        marker = {"producer": producer, "epoch": epoch, "commits": commits, "coordinator": coordinator,
                  "topics": [{"name": peer.topic(), "partitions": [0, 5]}, {"name": peer.topic("none"), "partitions": [0]}]}  # fmt: skip
        reply = one.ask("WriteTxnMarkers", 1, markers=[marker])
        peer.note("marked", sorted((topic["name"].removeprefix(peer.prefix), errors_by_index(topic))
                                   for found in reply["markers"] for topic in found["topics"]))  # fmt: skip
        one.see()


def random_transactions(peer):
    """Two producers of one id, by both protocols, do what comes to mind."""
    chance = random.Random(peer.prefix.rsplit("-", 1)[-1])
    clients = [prepared(peer), Client(peer)]
    clients[0].begin()
    for _ in range(60):
        one = chance.choice(clients)
        what = chance.randrange(12)
        if what == 0:
            one.begin()
        elif what == 1 and one.epoch >= 0:
            one.begin((one.producer, one.epoch - chance.randrange(2)))
        elif what < 4:
            one.add(chance.randrange(2))
        elif what < 8:
            one.write(chance.randrange(2), version=chance.choice((9, 9, 12)))
        elif one.epoch >= 0:
            one.end(chance.random() < 0.6, chance.choice((3, 5)))
    clients[0].see(2)


CASES = [
    a_transaction_of_the_first_protocol,
    a_transaction_of_the_second_protocol,
    producers_fence_one_another,
    producers_of_the_second_protocol_fence_one_another,
    requests_of_transactions_are_checked,
    offsets_wait_for_their_transaction,
    markers_are_written_by_request,
]

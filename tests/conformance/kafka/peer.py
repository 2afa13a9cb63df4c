"""One broker that is asked, with a transcript of its answers in a form that two brokers can share."""

from wire import kafka

# Fields whose value belongs to the machine, the moment or the implementation, and not to the protocol.
DROPPED = {
    "throttle": "quotas are not under test here",
    "host": "an address", "port": "an address", "cluster": "a random id",
    "message": "the wording for people; the code beside it is compared",
    "documentation": "prose",
    "synonyms": "which levels a default passed through differs with how the broker was configured",
}  # fmt: skip
BROKERS = {"node", "leader", "controller"}
MEMBERS = {"member", "id"}


def order_of(item):
    """Replies may list partitions, topics and groups in any order."""
    return [str(item.get(key)) for key in ("name", "group", "key", "index")]


class Peer:
    def __init__(self, port, prefix):
        self.port, self.prefix = port, prefix
        self.connection = kafka.Connection(port)
        self.transcript = []
        self.members = {}

    def topic(self, suffix="t"):
        return f"{self.prefix}-{suffix}"

    def ask(self, api, version, **fields):
        """Asks and notes the answer; a connection that the broker closes is an answer too."""
        try:
            reply = self.connection.ask(api, version, **fields)
        except ConnectionError:
            self.connection = kafka.Connection(self.port)
            self.note(f"{api} {version}", "closed")
            return None
        self.note(f"{api} {version}", self.normal(reply))
        return reply

    def note(self, what, value):
        self.transcript.append((what, value))

    def normal(self, value, name=""):
        if isinstance(value, dict):
            return {key: self.normal(item, key) for key, item in value.items() if key not in DROPPED}
        if isinstance(value, list):
            if name in ("replicas", "isr", "eligible", "last_known", "offline"):
                return len(value)
            items = [self.normal(item, name) for item in value]
            return sorted(items, key=order_of) if items and isinstance(items[0], dict) else items
        if name in BROKERS and isinstance(value, int):
            return "a broker" if value >= 0 else value
        if isinstance(value, bytes) and name == "id":
            return "no id" if value == bytes(16) else "an id"
        if isinstance(value, str) and (name in MEMBERS or name == "leader"):
            return value if not value else self.members.setdefault(value, f"member {len(self.members) + 1}")
        if name == "records":
            return [{key: item for key, item in one.items() if key != "crc"} for one in kafka.batches(value)]
        return value

    def close(self):
        self.connection.close()

    # Short forms of the commonest requests.
    def create(self, suffix="t", partitions=1, **configs):
        # Most records here are stamped years ago: a round of retention would take them, from one of the two before the other.
        configs = {"retention_ms": -1} | configs
        configs = [{"name": key.replace("_", "."), "value": str(value)} for key, value in configs.items()]
        topic = {
            "name": self.topic(suffix), "partitions": partitions, "replication": 1, "assignments": [], "configs": configs,
        }  # fmt: skip
        reply = self.connection.ask("CreateTopics", 5, topics=[topic], timeout=10_000, validate=False)
        assert reply["topics"][0]["error"] == 0, reply
        self.wait_for_leaders(suffix)

    def wait_for_leaders(self, suffix):
        """A new topic takes a moment to reach a broker's metadata, which is no difference worth telling."""
        while True:
            reply = self.connection.ask("Metadata", 1, topics=[self.topic(suffix)])
            topic = reply["topics"][0]
            if topic["error"] == 0 and all(self._leads(suffix, part) for part in topic["partitions"]):
                return

    def _leads(self, suffix, part):
        parts = [{"index": part["index"], "epoch": -1, "time": -1}]
        topics = [{"name": self.topic(suffix), "partitions": parts}]
        reply = self.connection.ask("ListOffsets", 5, replica=-1, isolation=0, topics=topics)
        return part["error"] == 0 and reply["topics"][0]["partitions"][0]["error"] == 0

    def produce(self, records, suffix="t", partition=0, acks=-1, version=9):
        topics = [{"name": self.topic(suffix), "partitions": [{"index": partition, "records": records}]}]
        return self.ask("Produce", version, transaction=None, acks=acks, timeout=5000, topics=topics)

    def fetch(self, offset, suffix="t", partition=0, most=1 << 20, wait=0, minimum=0, version=4, leader_epoch=-1):
        part = {"index": partition, "offset": offset, "max": most}
        common = {"replica": -1, "wait": wait, "min": minimum, "max": 1 << 20, "isolation": 0}
        if version >= 11:
            part |= {"leader_epoch": leader_epoch, "start": -1}
            common |= {"session": 0, "epoch": -1, "forgotten": [], "rack": ""}
        return self.ask("Fetch", version, **common, topics=[{"name": self.topic(suffix), "partitions": [part]}])

    def list_offsets(self, time, suffix="t", partition=0, epoch=-1, version=5):
        part = {"index": partition, "epoch": epoch, "time": time}
        topics = [{"name": self.topic(suffix), "partitions": [part]}]
        return self.ask("ListOffsets", version, replica=-1, isolation=0, topics=topics)

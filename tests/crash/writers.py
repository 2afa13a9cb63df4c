"""One writer a protocol. Each sends numbered writes, several in flight, and remembers what was acknowledged.

write()   one window of requests; raises ConnectionError when the server is gone
check()   after a restart: everything acknowledged is there, and nothing is there that was never sent
"""

from wire import jute, kafka, resp

WINDOW = 20


class RedisWriter:
    """Pushes numbers onto one list, and in transactions moves two counters together."""

    wing = "redis"
    directives = {"appendonly": "yes", "appendfsync": "always"}

    def __init__(self):
        self.sent = self.acknowledged = 0
        self.pairs_acknowledged = 0
        self.connection = None

    def connect(self, port):
        self.connection = resp.Connection(port)

    def write(self):
        out = [resp.encode("RPUSH", "log", self.sent + n) for n in range(WINDOW)]
        pair = [resp.encode(*words) for words in (["MULTI"], ["INCR", "a"], ["INCR", "b"], ["EXEC"])]
        self.sent += WINDOW
        self.connection.socket.sendall(b"".join(out + pair))
        for _ in range(WINDOW):
            tag, value = self.connection.read()
            assert tag == ":", (tag, value)
            self.acknowledged = max(self.acknowledged, value)
        replies = [self.connection.read() for _ in pair]
        self.pairs_acknowledged = replies[-1][1][0][1]

    def check(self, port):
        with resp.Connection(port) as connection:
            items = [int(value) for _, value in connection.ask("LRANGE", "log", 0, -1)[1]]
            assert len(items) >= self.acknowledged, f"{self.acknowledged - len(items)} acknowledged pushes are lost"
            assert sorted(set(items)) == sorted(items), "a push is there twice"
            assert all(0 <= item < self.sent for item in items), "something is there that was never sent"
            assert items == sorted(items), "pushes are out of order"
            a, b = (int(value or 0) for _, value in connection.ask("MGET", "a", "b")[1])
            assert a == b, f"half a transaction: {a} and {b}"
            assert a >= self.pairs_acknowledged, "an acknowledged transaction is lost"
            # What was in flight may be there or not: from here on, what is there counts.
            self.acknowledged, self.pairs_acknowledged = len(items), a
            connection.ask("SELECT", 1)
            connection.ask("BGREWRITEAOF")


class KafkaWriter:
    """Produces numbered records with acks=all and commits how far it has come to a group."""

    wing = "kafka"
    directives = {}
    TOPIC = "log"

    def __init__(self):
        self.sent = 0
        self.acknowledged = {}
        self.committed = -1
        self.connection = None

    def connect(self, port):
        self.connection = kafka.Connection(port)
        topic = {"name": self.TOPIC, "partitions": 1, "replication": 1, "assignments": [], "configs": []}
        reply = self.connection.ask("CreateTopics", 5, topics=[topic], timeout=10_000, validate=False)
        assert reply["topics"][0]["error"] in (0, 36), reply
        self.find_coordinator(self.connection)
        while self.offsets(self.connection)["error"] != 0 or self.commit(self.committed) != 0:
            pass

    @staticmethod
    def find_coordinator(connection):
        """The first to ask has the topic of the offsets made."""
        while connection.ask("FindCoordinator", 2, key="crash", type=0)["error"] != 0:
            pass

    def offsets(self, connection, time=-1):
        topics = [{"name": self.TOPIC, "partitions": [{"index": 0, "epoch": -1, "time": time}]}]
        reply = connection.ask("ListOffsets", 5, replica=-1, isolation=0, topics=topics)
        return reply["topics"][0]["partitions"][0]

    def commit(self, offset):
        part = {"index": 0, "offset": max(offset, 0), "epoch": -1, "metadata": ""}
        topics = [{"name": self.TOPIC, "partitions": [part]}]
        reply = self.connection.ask(
            "OffsetCommit", 7, group="crash", generation=-1, member="", instance=None, topics=topics
        )
        return reply["topics"][0]["partitions"][0]["error"]

    def write(self):
        waiting = []
        for _ in range(WINDOW):
            records = kafka.batch([b"%d" % self.sent])
            topics = [{"name": self.TOPIC, "partitions": [{"index": 0, "records": records}]}]
            waiting.append((self.connection.send("Produce", 9, transaction=None, acks=-1, timeout=5000, topics=topics), self.sent))
            self.sent += 1
        for correlation, number in waiting:
            reply = self.connection.decode("Produce", 9, correlation, self.connection.read_frame())
            part = reply["topics"][0]["partitions"][0]
            assert part["error"] == 0, part
            self.acknowledged[part["offset"]] = number
        last = max(self.acknowledged)
        assert self.commit(last) == 0
        self.committed = last

    def check(self, port):
        with kafka.Connection(port) as connection:
            while self.offsets(connection)["error"] != 0:  # still loading
                pass
            records = self.read_all(connection)
            for offset, number in self.acknowledged.items():
                assert records.get(offset) == number, f"offset {offset} should be {number}, is {records.get(offset)}"
            assert sorted(records) == list(range(len(records))), "offsets have gaps"
            assert all(0 <= number < self.sent for number in records.values()), "a record that was never sent"
            assert len(set(records.values())) == len(records), "a record is there twice"
            assert self.fetch_committed(connection) >= self.committed, "an acknowledged commit is lost"
            self.acknowledged = records

    def fetch_committed(self, connection):
        self.find_coordinator(connection)
        while True:
            topics = [{"name": self.TOPIC, "partitions": [0]}]
            reply = connection.ask("OffsetFetch", 5, group="crash", topics=topics)
            if reply["error"] == 0 and reply["topics"][0]["partitions"][0]["error"] == 0:
                return reply["topics"][0]["partitions"][0]["offset"]

    def read_all(self, connection, offset=0):
        records, end = {}, self.offsets(connection)["offset"]
        while offset < end:
            parts = [{"index": 0, "offset": offset, "max": 1 << 20}]
            reply = connection.ask("Fetch", 4, replica=-1, wait=1000, min=1, max=1 << 22, isolation=0,
                                   topics=[{"name": self.TOPIC, "partitions": parts}])  # fmt: skip
            part = reply["topics"][0]["partitions"][0]
            assert part["error"] == 0, part
            found = kafka.batches(part["records"])
            assert found, f"nothing at offset {offset} of {end}"
            for one in found:
                assert one["crc is right"], one
                records |= {at: int(value) for at, _, value in kafka.records(one)}
                offset = one["base"] + one["last"] + 1
        return records


class ZooKeeperWriter:
    """Creates numbered nodes and overwrites one, several in flight."""

    wing = "zookeeper"
    directives = {}

    def __init__(self):
        self.sent = 0
        self.acknowledged = set()
        self.value = -1
        self.zxid = 0
        self.session = None
        self.connection = None

    def connect(self, port):
        self.session = None  # the last one was closed; a kill may come before this one has its ephemeral
        self.connection = jute.Connection(port, timeout=40_000)
        for path in ("/log", "/value"):
            assert self.connection.ask(jute.CREATE, jute.create(path))[2] in (0, -110)
        self.connection.ask(jute.CREATE, jute.create("/session", flags=jute.EPHEMERAL))
        self.session = self.connection.session, self.connection.password

    def write(self):
        numbers = range(self.sent, self.sent + WINDOW)
        self.sent += WINDOW
        for number in numbers:
            if number % 2:
                self.connection.send(jute.CREATE, jute.create(f"/log/{number}", b"%d" % number))
            else:
                body = [(jute.CREATE, jute.create(f"/log/{number}")), (jute.SET_DATA, jute.set_data("/value", b"%d" % number))]
                self.connection.send(jute.MULTI, jute.multi(body))
        for number in numbers:
            _, zxid, err, _ = self.connection.read_reply()
            assert err == 0, err
            assert zxid > self.zxid, "a zxid was given twice"
            self.zxid = zxid
            self.acknowledged.add(number)
            self.value = max(self.value, number - number % 2)

    def check(self, port):
        resumed = self.resume(port)
        names = jute.Reader(resumed.ask(jute.GET_CHILDREN, jute.read("/log"))[3]).texts()
        there = {int(name) for name in names}
        assert self.acknowledged <= there, f"lost: {sorted(self.acknowledged - there)[:10]}"
        assert there <= set(range(self.sent)), "a node that nobody made"
        _, zxid, err, body = resumed.ask(jute.GET_DATA, jute.read("/value"))
        value = int(jute.Reader(body).buffer() or -1)
        assert value >= self.value, "an acknowledged set is lost"
        assert value == max((number for number in there if number % 2 == 0), default=-1), "half a transaction"
        assert zxid >= self.zxid, "the zxid went back"
        if self.session:
            assert resumed.ask(jute.EXISTS, jute.read("/session"))[2] == 0, "the ephemeral of a living session is gone"
        resumed.end()
        self.acknowledged, self.value, self.zxid = there, value, zxid

    def resume(self, port):
        if self.session is None:
            return jute.Connection(port)
        session, password = self.session
        resumed = jute.Connection(port, session=session, password=password)
        assert resumed.session == session, "the session did not outlive the crash"
        return resumed


WRITERS = {writer.wing: writer for writer in (RedisWriter, KafkaWriter, ZooKeeperWriter)}

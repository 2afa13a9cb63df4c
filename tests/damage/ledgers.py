"""What was acknowledged, by wing. A ledger fills a server, remembers what it was promised, and later says what is missing.

wing, directives    how the server is started
folder              of the data directory: what a refused start must leave alone
fill(server)        writes until there is enough, everything acknowledged
files(data)         the files to harm: (path, path of another of its kind or None)
missing(server)     what was promised and is not there, as a list of words; [] = all is right. Raises Offline when the server
                    refuses to serve it and says so (a partition that is offline)
torn(path, harm)    how many promises an unfinished last write may cost, which this harm looks like
exempt(path, harm)  nobody can notice this
derived(path)       a file that is made anew from others: it may change in a start that is refused

To add a wing or a kind of file: another ledger in LEDGERS.
"""

import contextlib

from wire import jute, kafka, resp

STORAGE_ERROR = 56


class Offline(Exception):
    """Refused in the protocol's own words."""


def settled(connection, count):
    """Reads the replies of `count` pipelined requests; returns those that are errors."""
    return [reply for reply in (connection.read() for _ in range(count)) if reply[0] == "-"]


class Tree:
    """Znodes, with a snapshot in the middle and entries behind it."""

    wing, folder = "zookeeper", "coord"
    directives = {"snapCount": 100}
    NODES = 400

    def fill(self, server):
        self.promised = {}
        with contextlib.closing(jute.Connection(server.port_of("zookeeper"))) as zk:
            for number in range(self.NODES):
                path, data = f"/n{number}", b"value %d " % number * 8
                assert zk.ask(jute.CREATE, jute.create(path, data))[2] == 0
                self.promised[path] = data

    def files(self, data):
        coord = data / "coord"
        found = [(path, None) for path in sorted(coord.glob("snapshot.*"))]
        found += [(path, None) for path in sorted((coord / "log").glob("*.log"))]
        return found + [(coord / name, None) for name in ("durable", "boot")]

    def torn(self, path, harm):
        return 1 if harm in ("cut by a byte", "cut by 7 bytes", "flip at 90 %") else 0

    def exempt(self, path, harm):
        return False

    def derived(self, path):
        return path.name in ("boot", "durable", "reserve") or path.suffix in (".index", ".timeindex")

    def missing(self, server):
        wrong = []
        with contextlib.closing(jute.Connection(server.port_of("zookeeper"))) as zk:
            for path in self.promised:
                zk.send(jute.GET_DATA, jute.read(path))
            for path, data in self.promised.items():
                _, _, err, body = zk.read_reply()
                if err != 0 or jute.Reader(body).buffer() != data:
                    wrong.append(path)
        return wrong


class Keys:
    """Keys in a base that a rewrite made, and in the incremental file behind it.

    The format has no sums: a flipped bit in a value is served as it is, by the original too. So flips and zeros in the
    middle are not held to the oracle.
    """

    wing, folder = "redis", "redis"
    directives = {"appendonly": "yes", "appendfsync": "always"}
    HARMLESS = ("flip", "a page zeroed")  # what cannot be noticed

    def fill(self, server):
        self.promised = {}
        with resp.Connection(server.port_of("redis")) as redis:
            self.set_all(redis, range(150))
            redis.ask("BGREWRITEAOF")
            while "aof_rewrite_in_progress:1" in redis.ask("INFO", "persistence")[1].decode():
                pass
            self.set_all(redis, range(150, 300))

    def set_all(self, redis, numbers):
        for number in numbers:
            key, value = f"k{number}", f"value {number}"
            assert redis.ask("SET", key, value) == ("+", "OK")
            self.promised[key] = value.encode()

    def files(self, data):
        folder = data / "redis" / "appendonlydir"
        base, incr = next(folder.glob("*.base.*")), next(folder.glob("*.incr.aof"))
        rest = [(folder / name, None) for name in ("appendonly.aof.manifest", "appendonly.aof.sizes")]
        return [(base, incr), (incr, base), *rest]

    def torn(self, path, harm):
        """With aof-load-truncated, the default, the last file may end in the middle of a command, wherever that is."""
        return len(self.promised) if ".incr." in path.name and harm.startswith("cut") else 0

    def exempt(self, path, harm):
        return path.suffix == ".aof" and harm.startswith(self.HARMLESS)

    def derived(self, path):
        return path.name == "reserve"

    def missing(self, server):
        with resp.Connection(server.port_of("redis")) as redis:
            values = [value for _, value in redis.ask("MGET", *self.promised)[1]]
        return [key for key, value in zip(self.promised, values, strict=True) if value != self.promised[key]]


class Log:
    """Records in a partition of several segments, all of them on the disk as the checkpoints say."""

    wing = "kafka"
    directives = {"log.flush.offset.checkpoint.interval.ms": 50}
    folder = "kafka"
    short_share = 4  # in the short form every fourth case
    TOPIC, RECORDS = "log", 120

    def fill(self, server):
        configs = {"flush.messages": 1, "segment.index.bytes": 60, "retention.ms": -1}
        self.promised = [b"%d " % n * (200 + 7 * n * n % 100) for n in range(self.RECORDS)]
        with kafka.Connection(server.port_of("kafka")) as connection:
            for name in (self.TOPIC, "other"):
                one = {"name": name, "partitions": 1, "replication": 1, "assignments": [],
                       "configs": [{"name": key, "value": str(value)} for key, value in configs.items()]}  # fmt: skip
                answer = connection.ask("CreateTopics", 5, topics=[one], timeout=30000, validate=False)
                assert answer["topics"][0]["error"] == 0
            for n, value in enumerate(self.promised):
                parts = [{"index": 0, "records": kafka.batch([value], time=kafka.NOW_MS + n)}]
                answer = connection.ask("Produce", 7, transaction=None, acks=-1, timeout=30000,
                                        topics=[{"name": self.TOPIC, "partitions": parts}])  # fmt: skip
                assert answer["topics"][0]["partitions"][0]["error"] == 0
        point = server.data / "kafka" / "recovery-point-offset-checkpoint"
        server.wait_until(lambda: point.exists() and f"{self.TOPIC} 0 {self.RECORDS}" in point.read_text())

    def files(self, data):
        top = data / "kafka"
        partition, other = top / f"{self.TOPIC}-0", top / "other-0"
        found = []
        for kind in ("*.log", "*.index", "*.timeindex"):
            of_kind = sorted(partition.glob(kind))
            found += [(of_kind[1], of_kind[2]), (of_kind[-1], of_kind[0])]
        found += [(path, None) for path in sorted(partition.glob("*.snapshot"))[-1:]]
        found += [(partition / name, other / name) for name in ("partition.metadata", "leader-epoch-checkpoint")]
        found += [(path, None) for path in sorted(top.glob("*-checkpoint"))]
        found += [(top / name, None) for name in ("meta.properties", ".checkpoint-sums", ".boot")]
        return [(path, foreign if foreign and foreign.exists() else None) for path, foreign in found if path.exists()]

    def torn(self, path, harm):
        return 0  # all was on the disk

    def exempt(self, path, harm):
        return False

    def derived(self, path):
        return path.suffix in (".index", ".timeindex") or path.name == ".boot"

    def missing(self, server):
        wrong, offset = [], 0
        if "is put aside" in server.log_tail(50):
            raise Offline
        with kafka.Connection(server.port_of("kafka")) as connection:
            while offset < self.RECORDS:
                parts = [{"index": 0, "offset": offset, "max": 1 << 20}]
                answer = connection.ask("Fetch", 4, replica=-1, wait=0, min=0, max=1 << 20, isolation=0,
                                        topics=[{"name": self.TOPIC, "partitions": parts}])  # fmt: skip
                part = answer["topics"][0]["partitions"][0]
                if part["error"] == STORAGE_ERROR:
                    raise Offline
                batches = kafka.batches(part["records"])
                if part["error"] or not batches:
                    return wrong + [str(n) for n in range(offset, self.RECORDS)]
                for batch in batches:
                    if batch["magic"] != 2 or batch["base"] < offset:  # no consumer takes it for a batch
                        return wrong
                    if batch["base"] >= self.RECORDS:
                        return [*wrong, f"offset {batch['base']}, which nobody got"]
                    wrong += [str(n) for n in range(offset, batch["base"])]
                    offset = batch["base"] + 1
                    if not batch["crc is right"]:  # the consumer refuses it, by its checksum
                        continue
                    values = [value for _, _, value in kafka.records(batch)]
                    wrong += [str(batch["base"])] if values != [self.promised[batch["base"]]] else []
        return wrong


LEDGERS = {"tree": Tree, "keys": Keys, "log": Log}

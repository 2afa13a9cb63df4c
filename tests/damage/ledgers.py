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

from wire import jute, resp


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
        base, incr = next(folder.glob("*.base.aof")), next(folder.glob("*.incr.aof"))
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


LEDGERS = {"tree": Tree, "keys": Keys}

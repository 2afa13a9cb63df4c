"""What was acknowledged, by wing. A ledger fills a server, remembers what it was promised, and later says what is missing.

wing, directives    how the server is started
fill(server)        writes until there is enough, everything acknowledged
files(data)         the files to harm: (path, path of another of its kind or None)
missing(server)     what was promised and is not there, as a list of words; [] = all is right. Raises Offline when the server
                    refuses to serve it and says so (a partition that is offline)
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

    wing = "zookeeper"
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

    def derived(self, path):
        return path.name in ("boot", "durable") or path.suffix in (".index", ".timeindex")

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


LEDGERS = {"tree": Tree}

"""Random ZooKeeper requests from a seed, and what of a reply can be compared between two servers.

Transaction ids start elsewhere on each server, so they are numbered in the order in which they are first seen: two
histories are alike when the same requests got the same numbers. Each history has a subtree of its own, whose name
stands in the place of ROOT on the wire, so that nothing need be cleaned up (some ACLs would not let us).
"""

import itertools
import os

from wire import jute

ROOT = "/history-000000"
PARENTS = [ROOT + path for path in ("/a", "/b", "/a/x", "/a/y", "/e", "/seq")]
PATHS = [*PARENTS, *[ROOT + path for path in ("/a/x/deep", "/none/child", "/e/child")]]
BAD_PATHS = ["a", "//", *[ROOT + path for path in ("/a/", "/a//b", "/a/../b", "/a/.", "/a\x01b")]]
UNIMPLEMENTED = -6
history_numbers = itertools.count(os.getpid() % 1000 * 1000)
DATA = [b"", b"v", b"data" * 20, None]
VERSIONS = [-1, -1, -1, 0, 1, 2, 7]
ACLS = [
    None, None, None, None, [(1, "world", "anyone")], [(31, "auth", "")], [], [(31, "nosuch", "x")],
    [(31, "digest", "u:bad")], [(31, "ip", "127.0.0.1")], [(31, "ip", "300.1.1.1")],
]  # fmt: skip


def a_path(random):
    return random.choice(BAD_PATHS) if random.random() < 0.04 else random.choice(PATHS)


def write_operation(random):
    """An operation that may stand alone or in a multi."""
    kind = random.choice(["create", "create", "create2", "delete", "set", "check", "container", "ttl"])
    path = a_path(random)
    if kind in ("create", "create2"):
        flags = random.choice([0, 0, 0, jute.EPHEMERAL, jute.SEQUENTIAL, jute.EPHEMERAL | jute.SEQUENTIAL])
        op = jute.CREATE if kind == "create" else jute.CREATE2
        if flags & jute.SEQUENTIAL:
            path = random.choice(PARENTS) + random.choice(["/n-", "/", "n"])
        return op, jute.create(path, random.choice(DATA), flags, random.choice(ACLS))
    if kind == "container":
        return jute.CREATE_CONTAINER, jute.create(path, b"c", jute.CONTAINER)
    if kind == "ttl":
        ttl = random.choice([100_000, 100_000, 0, -1, 2**40])
        return jute.CREATE_TTL, jute.create_ttl(path, b"t", random.choice([5, 6]), ttl)
    if kind == "delete":
        return jute.DELETE, jute.delete(path, random.choice(VERSIONS))
    if kind == "set":
        return jute.SET_DATA, jute.set_data(path, random.choice(DATA), random.choice(VERSIONS))
    return jute.CHECK, jute.delete(path, random.choice(VERSIONS))


def read_operation(random):
    op = random.choice([jute.EXISTS, jute.GET_DATA, jute.GET_CHILDREN, jute.GET_CHILDREN2])
    return op, jute.read(a_path(random), random.random() < 0.4)


def request(random):
    draw = random.random()
    if draw < 0.45:
        op, body = write_operation(random)
        # check exists only inside a multi
        return (op, body) if op != jute.CHECK else (jute.MULTI, jute.multi([(op, body)]))
    if draw < 0.75:
        return read_operation(random)
    if draw < 0.85:
        return jute.MULTI, jute.multi([write_operation(random) for _ in range(random.randint(0, 4))])
    if draw < 0.87:
        reads = [(random.choice([jute.GET_DATA, jute.GET_CHILDREN]), jute.read(a_path(random))) for _ in range(3)]
        return jute.MULTI_READ, jute.multi(reads)
    if draw < 0.90:
        return jute.ADD_WATCH, jute.watch(a_path(random), random.choice([0, 1, 1, 0, 2]))
    if draw < 0.92:
        return random.choice([jute.REMOVE_WATCHES, jute.CHECK_WATCHES]), jute.watch(a_path(random), random.choice([1, 2, 3]))
    if draw < 0.94:
        return jute.GET_ACL, jute.text(a_path(random))
    if draw < 0.96:
        return jute.SET_ACL, jute.set_acl(a_path(random), random.choice(ACLS) or jute.OPEN_ACL, random.choice(VERSIONS))
    if draw < 0.98:
        return random.choice([jute.GET_ALL_CHILDREN_NUMBER, jute.GET_EPHEMERALS, jute.SYNC]), jute.text(random.choice(PARENTS))
    return random.choice([(jute.WHO_AM_I, b""), (999, b""), (jute.GET_EPHEMERALS, jute.text(ROOT))])


def sequence(random, count):
    """[(connection, op, body)]; op None ends that session and begins another."""
    steps = [(0, jute.CREATE, jute.create(path)) for path in (ROOT + "/a", ROOT + "/a/x", ROOT + "/seq")]
    while len(steps) < count:
        connection = random.randrange(3)
        steps.append((connection, None, None) if random.random() < 0.005 else (connection, *request(random)))
    return steps


class Numbering:
    """Names for values that differ between servers, by first appearance."""

    def __init__(self):
        self.numbers = {}

    def __call__(self, value):
        return value if value == 0 else self.numbers.setdefault(value, f"#{len(self.numbers) + 1}")


class Player:
    def __init__(self, port):
        self.port = port
        self.connections = []
        self.base = None
        self.session_ended = False

    def begin(self):
        self.connections = [jute.Connection(self.port) for _ in range(3)]
        self.sessions = Numbering()
        self.root = f"/history-{next(history_numbers):06}"
        self.base = self.connections[0].ask(jute.CREATE, jute.create(self.root))[1]

    def zxid(self, value):
        """Relative to the start: what each request consumes shows. What lies before it is only 'old'."""
        return value - self.base if value > self.base else "old"

    def stat(self, stat):
        kept = {key: stat[key] for key in ("version", "cversion", "aversion", "data_length", "children")}
        for key in ("czxid", "mzxid", "pzxid"):
            kept[key] = self.zxid(stat[key])
        kept["ephemeral_owner"] = self.sessions(stat["ephemeral_owner"])
        kept["same times"] = stat["ctime"] == stat["mtime"] if stat["version"] == 0 else None
        return kept

    def body(self, op, data):
        reader = jute.Reader(data)
        if op == jute.CREATE or op == jute.SYNC:
            return reader.text()
        if op in (jute.CREATE2, jute.CREATE_CONTAINER, jute.CREATE_TTL):
            return reader.text(), self.stat(reader.stat())
        if op in (jute.EXISTS, jute.SET_DATA, jute.SET_ACL):
            return self.stat(reader.stat())
        if op == jute.GET_DATA:
            return reader.buffer(), self.stat(reader.stat())
        if op == jute.GET_CHILDREN:
            return sorted(reader.texts())
        if op == jute.GET_CHILDREN2:
            return sorted(reader.texts()), self.stat(reader.stat())
        if op == jute.GET_ACL:
            return reader.acl(), self.stat(reader.stat())
        if op in (jute.MULTI, jute.MULTI_READ):
            return [(kind, err, self.result(value)) for kind, err, value in jute.parse_multi(data)]
        if op == jute.GET_EPHEMERALS:
            return sorted(reader.texts())
        return reader.rest()

    def result(self, value):
        if isinstance(value, dict):
            return self.stat(value)
        if isinstance(value, tuple):
            return value[0], self.stat(value[1])
        return sorted(value) if isinstance(value, list) else value

    def play(self, step):
        """The comparable reply, and the events each connection had got by then."""
        index, op, body = step
        if op is None:
            self.connections[index].end()
            self.connections[index] = jute.Connection(self.port)
            self.session_ended = True
            return "new session", self.events()
        try:
            _, zxid, err, data = self.connections[index].ask(op, body.replace(ROOT.encode(), self.root.encode()))
        except jute.Closed:
            self.replace(index)
            return "closed", self.events()
        if err == UNIMPLEMENTED:  # and then it closes, as soon as it gets to it
            self.connections[index].wait_closed()
            self.replace(index)
        data = data.replace(self.root.encode(), ROOT.encode())
        seen = self.zxid(zxid)
        return (err, seen, self.body(op, data) if err == 0 else data), self.events()

    def replace(self, index):
        """A new session for one whose connection the server closed; left to expire, the old one would take a zxid some day."""
        old = self.connections[index]
        jute.Connection(self.port, session=old.session, password=old.password).end()
        self.connections[index] = jute.Connection(self.port)
        self.session_ended = True

    def events(self):
        """When a session ended, its ephemerals went in an order that is nobody's promise."""
        taken = [self.events_of(index) for index in range(len(self.connections))]
        if self.session_ended:
            self.session_ended = False
            return [sorted(events + self.events_of(index)) for index, events in enumerate(taken)]
        return taken

    def events_of(self, index):
        try:
            events = self.connections[index].take_events()
        except jute.Closed:
            self.replace(index)
            return [(0, 0, "closed")]
        return [(kind, state, path.replace(self.root, ROOT)) for kind, state, path in events]

    def close(self):
        for connection in self.connections:
            connection.end()
        self.connections = []


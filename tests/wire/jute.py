"""ZooKeeper's protocol: Jute primitives, the handshake, and requests as plain functions that return bodies.

`Connection.ask(op, body)` returns (xid, zxid, err, body bytes); watch events that arrive before it are in `.events`.
"""

import socket
import struct

CREATE, DELETE, EXISTS, GET_DATA, SET_DATA, GET_ACL, SET_ACL, GET_CHILDREN, SYNC, PING = 1, 2, 3, 4, 5, 6, 7, 8, 9, 11
GET_CHILDREN2, CHECK, MULTI, CREATE2, RECONFIG, CHECK_WATCHES, REMOVE_WATCHES = 12, 13, 14, 15, 16, 17, 18
CREATE_CONTAINER, DELETE_CONTAINER, CREATE_TTL, MULTI_READ = 19, 20, 21, 22
AUTH, SET_WATCHES, SASL, GET_EPHEMERALS, GET_ALL_CHILDREN_NUMBER = 100, 101, 102, 103, 104
SET_WATCHES2, ADD_WATCH, WHO_AM_I = 105, 106, 107
CLOSE_SESSION = -11
WATCH_XID, PING_XID, AUTH_XID, SET_WATCHES_XID = -1, -2, -4, -8

EPHEMERAL, SEQUENTIAL = 1, 2
CONTAINER, TTL, TTL_SEQUENTIAL = 4, 5, 6
OPEN_ACL = [(31, "world", "anyone")]
STAT_FIELDS = (
    "czxid", "mzxid", "ctime", "mtime", "version", "cversion", "aversion", "ephemeral_owner", "data_length",
    "children", "pzxid",
)  # fmt: skip
STAT = struct.Struct(">qqqqiiiqiiq")


def i32(value):
    return struct.pack(">i", value)


def i64(value):
    return struct.pack(">q", value)


def flag(value):
    return b"\x01" if value else b"\x00"


def buffer(data):
    return i32(-1) if data is None else i32(len(data)) + data


def text(value):
    return buffer(None if value is None else value.encode())


def vector(items):
    return i32(-1) if items is None else i32(len(items)) + b"".join(items)


def acl_vector(acl):
    return vector([i32(perms) + text(scheme) + text(name) for perms, scheme, name in acl])


class Reader:
    """Takes values off the front of a body; what is too short raises struct.error."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def _take(self, form):
        value = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value[0]

    def i32(self):
        return self._take(">i")

    def i64(self):
        return self._take(">q")

    def flag(self):
        return self._take(">?")

    def buffer(self):
        size = self.i32()
        if size < 0:
            return None
        data = self.data[self.at : self.at + size]
        assert len(data) == size, "short buffer"
        self.at += size
        return data

    def text(self):
        data = self.buffer()
        return None if data is None else data.decode()

    def texts(self):
        return [self.text() for _ in range(max(0, self.i32()))]

    def stat(self):
        values = STAT.unpack_from(self.data, self.at)
        self.at += STAT.size
        return dict(zip(STAT_FIELDS, values, strict=True))

    def acl(self):
        return [(self.i32(), self.text(), self.text()) for _ in range(max(0, self.i32()))]

    def rest(self):
        data, self.at = self.data[self.at :], len(self.data)
        return data


# Request bodies.
def create(path, data=b"", flags=0, acl=None):
    return text(path) + buffer(data) + acl_vector(OPEN_ACL if acl is None else acl) + i32(flags)


def create_ttl(path, data=b"", flags=TTL, ttl=100_000, acl=None):
    return create(path, data, flags, acl) + i64(ttl)


def delete(path, version=-1):
    return text(path) + i32(version)


def read(path, watch=False):
    return text(path) + flag(watch)


def set_data(path, data, version=-1):
    return text(path) + buffer(data) + i32(version)


def set_acl(path, acl, version=-1):
    return text(path) + acl_vector(acl) + i32(version)


def watch(path, mode):
    return text(path) + i32(mode)


def multi(operations):
    """[(op, body)] as one transaction."""
    parts = [i32(op) + flag(False) + i32(-1) + body for op, body in operations]
    return b"".join(parts) + i32(-1) + flag(True) + i32(-1)


def set_watches(zxid, *lists):
    return i64(zxid) + b"".join(vector([text(path) for path in paths]) for paths in lists)


def auth(scheme, credentials):
    return i32(0) + text(scheme) + buffer(credentials)


def frame(data):
    return i32(len(data)) + data


def connect_request(timeout=30_000, session=0, password=bytes(16), zxid=0, read_only=False):
    return i32(0) + i64(zxid) + i32(timeout) + i64(session) + buffer(password) + flag(read_only)


class Closed(ConnectionError):
    pass


class Connection:
    """A session on one connection. Resume with session= and password=."""

    def __init__(self, port, host="127.0.0.1", seconds=60, **handshake):
        self.socket = socket.create_connection((host, port), timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.events, self.xid, self.buffered = [], 0, b""
        self.socket.sendall(frame(connect_request(**handshake)))
        reply = Reader(self.read_frame())
        self.protocol, self.timeout, self.session, self.password = reply.i32(), reply.i32(), reply.i64(), reply.buffer()

    def read_frame(self):
        size = struct.unpack(">i", self._exactly(4))[0]
        return self._exactly(size)

    def _exactly(self, size):
        while len(self.buffered) < size:
            try:
                chunk = self.socket.recv(65536)
            except ConnectionError:
                chunk = b""
            if not chunk:
                raise Closed("closed by the server")
            self.buffered += chunk
        data, self.buffered = self.buffered[:size], self.buffered[size:]
        return data

    def send(self, op, body=b"", xid=None):
        if xid is None:
            self.xid += 1
            xid = self.xid
        self.socket.sendall(frame(i32(xid) + i32(op) + body))
        return xid

    def read_reply(self):
        """The next reply; watch events on the way are kept."""
        while True:
            data = self.read_frame()
            reader = Reader(data)
            xid, zxid, err = reader.i32(), reader.i64(), reader.i32()
            if xid == WATCH_XID:
                self.events.append((reader.i32(), reader.i32(), reader.text()))
                continue
            return xid, zxid, err, reader.rest()

    def ask(self, op, body=b"", xid=None):
        sent = self.send(op, body, xid)
        reply = self.read_reply()
        assert reply[0] == sent, f"reply to {reply[0]} instead of {sent}"
        return reply

    def take_events(self):
        """The events so far. A ping's reply shows that none is on its way."""
        self.ask(PING, xid=PING_XID)
        events, self.events = self.events, []
        return events

    def wait_closed(self):
        """The server closes this connection; what it sends before is thrown away."""
        try:
            while True:
                self.read_frame()
        except Closed:
            pass

    def end(self):
        """Closes the session, and the connection with it."""
        try:
            self.ask(CLOSE_SESSION)
        except (OSError, AssertionError):
            pass
        self.close()

    def close(self):
        self.socket.close()


def parse_multi(body):
    """The results of a multi: [(type, err, value)]."""
    reader, results = Reader(body), []
    while True:
        kind, done, err = reader.i32(), reader.flag(), reader.i32()
        if done:
            return results
        if kind == -1:
            results.append((kind, reader.i32(), None))
        elif kind == CREATE:
            results.append((kind, err, reader.text()))
        elif kind in (CREATE2, CREATE_CONTAINER, CREATE_TTL):
            results.append((kind, err, (reader.text(), reader.stat())))
        elif kind == SET_DATA:
            results.append((kind, err, reader.stat()))
        elif kind == GET_DATA:
            results.append((kind, err, (reader.buffer(), reader.stat())))
        elif kind == GET_CHILDREN:
            results.append((kind, err, reader.texts()))
        else:
            results.append((kind, err, None))

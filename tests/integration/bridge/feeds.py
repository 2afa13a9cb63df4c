"""What a change feed's topic says, and whether it says what the keyspace holds."""

import io

from wire import resp

from .conftest import messages_of

TYPES = {
    b"string": lambda c, key: c.ask("GET", key),
    b"list": lambda c, key: c.ask("LRANGE", key, 0, -1),
    b"set": lambda c, key: sorted(c.ask("SMEMBERS", key)[1]),
    b"zset": lambda c, key: c.ask("ZRANGE", key, 0, -1, "WITHSCORES"),
    b"hash": lambda c, key: sorted(pairs(c.ask("HGETALL", key)[1])),
}


def pairs(words):
    return [(words[i], words[i + 1]) for i in range(0, len(words), 2)]


class Change:
    """A record: key, value (None = the key is gone), headers as a dict."""

    def __init__(self, message):
        self.partition, self.offset = message.partition(), message.offset()
        self.key, self.value = message.key(), message.value()
        self.headers = {name: value.decode() for name, value in message.headers()}
        self.db, self.command = int(self.headers["db"]), self.headers["command"]

    def __repr__(self):
        return f"{self.partition}/{self.offset} {self.key!r} = {self.value!r} {self.headers}"

    def commands(self):
        return None if self.value is None else commands_in(self.value)


def commands_in(value):
    """The commands of a value: RESP arrays of bulk strings, one behind the other."""
    stream, found = io.BytesIO(value), []
    while header := stream.readline():
        assert header.startswith(b"*"), header
        words = []
        for _ in range(int(header[1:])):
            size = int(stream.readline()[1:])
            words.append(stream.read(size))
            assert stream.read(2) == b"\r\n"
        found.append(words)
    return found


def changes_of(server, topic, partitions=1):
    """All of a feed's records, partition by partition."""
    return [Change(message) for message in messages_of(server, topic, partitions)]


def replay(changes, connection):
    """Does to another server what the records say, whatever their feed's format."""
    for change in changes:
        assert connection.ask("SELECT", change.db) == ("+", "OK")
        if "type" in change.headers or change.value is None:
            connection.ask("DEL", change.key)
        if change.value is None:
            continue
        if change.headers.get("type") == "string":
            connection.ask("SET", change.key, change.value)
            if "expires" in change.headers:
                connection.ask("PEXPIREAT", change.key, change.headers["expires"])
            continue
        for words in change.commands():
            reply = connection.ask(*words)
            assert reply[0] != "-", (change, words, reply)


def contents(connection, databases=16):
    """Everything that is there, as something to compare."""
    found = {}
    for db in range(databases):
        assert connection.ask("SELECT", db) == ("+", "OK")
        for _, key in connection.ask("KEYS", "*")[1]:
            kind = connection.ask("TYPE", key)[1].encode()
            found[db, key] = (kind, TYPES[kind](connection, key), connection.ask("PEXPIRETIME", key)[1])
    return found


def connection_to(server):
    return resp.Connection(server.port_of("redis"))

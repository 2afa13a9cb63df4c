"""Calls that hardly do anything, most of them wrong: each reply is the original's, in both versions of the protocol.

calls.txt has one a line, words as a shell reads them, escapes in double quotes; " ; " separates commands that belong
together. They run in order on one connection over the same few keys.
"""

import itertools
import pathlib
import shlex

import pytest
from wire import resp

from . import compare

CALLS = (pathlib.Path(__file__).parent / "calls.txt").read_text().splitlines()
MARKER = b"the end of the call"
# Names whose reply is a set to RESP2 clients too, in an order that the protocol leaves open.
UNORDERED = (
    *compare.UNORDERED,
    "COMMAND INFO", "COMMAND GETKEYSANDFLAGS", "COMMAND LIST", "CONFIG GET", "ZRANDMEMBER", "SRANDMEMBER", "HRANDFIELD",
)
KEYS = """
SET str foo
SET int 42
SET bigint 123456
RPUSH list a b c
HSET hash f1 1 f2 v
SADD set a b
ZADD zset 1 a 2.5 b 1e-310 c 1e20 d 3.3 e inf f 4.9406564584124654e-324 g 2.2250738585072014e-308 h 1.5e-315 i
"""


def words_of(command):
    return [w.encode("latin-1").decode("unicode_escape").encode("latin-1") for w in shlex.split(command)]


class Caller:
    def __init__(self, port, protocol):
        self.port, self.protocol = port, protocol
        self.connection = None
        self.connect()
        self.connection.ask("FLUSHALL")
        self.connection.ask("FUNCTION", "FLUSH")
        self.connection.ask("CONFIG", "SET", "slowlog-log-slower-than", -1)  # what is slow, the machine decides
        self.connection.ask("SLOWLOG", "RESET")
        for command in KEYS.strip().splitlines():
            self.connection.ask(*words_of(command))

    def connect(self):
        self.connection = resp.Connection(self.port, seconds=10)
        if self.protocol == 3:
            self.connection.ask("HELLO", "3")

    def call(self, line):
        """All replies to a line's commands, pushes included."""
        replies = []
        for command in line.split(" ; "):
            self.connection.send(*words_of(command))
        self.connection.send("PING", MARKER)
        while True:
            reply = self.connection.read()
            if reply == ("$", MARKER) or (reply[0] == "*" and reply[1] and reply[1][-1] == ("$", MARKER)):
                return replies
            replies.append(reply)


def without_notes(reply):
    """COMMAND INFO explains some of its key specifications in prose of the original's own."""
    tag, value = reply
    if tag == "%":
        return tag, [(name, without_notes(v)) for name, v in value if name != ("$", b"notes")]
    if tag not in "*~" or not value:
        return reply
    pairs = [i for i, item in enumerate(value) if item == ("$", b"notes")]
    return tag, [without_notes(item) for i, item in enumerate(value) if not (i in pairs or i - 1 in pairs)]


def in_order(reply, everywhere):
    tag, value = reply
    if tag == "%":
        pairs = [(name, in_order(v, everywhere)) for name, v in value]
        return tag, sorted(pairs, key=repr) if everywhere else pairs
    if tag not in "*~" or not value:
        return reply
    items = [in_order(item, everywhere) for item in value]
    return tag, sorted(items, key=repr) if tag == "~" or everywhere else items


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_call_is_answered_as_the_original_answers(valkey, launch, protocol):
    directives = {"enable-debug-command": "yes", "enable-protected-configs": "yes", "appendonly": "no"}
    servers = valkey, launch("redis", **directives)
    original, tested = (Caller(server.port_of("redis"), protocol) for server in servers)
    different = []
    for line in CALLS:
        everywhere = line.startswith(UNORDERED)
        expected, actual = (
            [in_order(without_notes(reply), everywhere) for reply in caller.call(line)] for caller in (original, tested)
        )
        pairs = itertools.zip_longest(expected, actual, fillvalue=("", None))
        if not all(one == other or compare.excused([line], one, other) for one, other in pairs):
            texts = (str(list(map(resp.show, replies))) for replies in (expected, actual))
            different.append("{}\n  original: {}\n  tested:   {}".format(line, *texts))
    assert not different, "\n" + "\n".join(different)

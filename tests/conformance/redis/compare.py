"""Plays one sequence on two servers and finds the first reply that differs, then the shortest sequence that shows it."""

from wire import resp

from .exceptions import AVOIDED, EXCEPTIONS

UNORDERED = {"SMEMBERS", "SINTER", "SUNION", "SDIFF", "KEYS", "HKEYS", "HVALS", "SPOP"}
PAIRED = {"HGETALL"}
SCANS = {"SCAN", "SSCAN", "HSCAN", "ZSCAN"}
RANDOM = {"SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER", "RANDOMKEY"}
CLOCKED = {"TTL", "PTTL"}
FIELDS_CLOCKED = {"HTTL": 0, "HPTTL": 0, "HEXPIRETIME": 33_177_000_000, "HPEXPIRETIME": 33_177_000_000_000}
# Moments: those that commands name outright lie in the year 3021, all others were reckoned from now.
MOMENTS = {"EXPIRETIME": 33_177_000_000, "PEXPIRETIME": 33_177_000_000_000}


SETTINGS = [("hash-max-listpack-entries", 512), ("stream-node-max-entries", 100), ("stream-node-max-bytes", 4096)]
STREAM_TIMES = {b"seen-time", b"active-time", b"idle", b"inactive"}
MOMENT = 1_000_000_000_000  # a larger number is a time of today in milliseconds


def key_of(item):
    return repr(item)


def pairs(items):
    return sorted(zip(items[::2], items[1::2], strict=True), key=key_of)


def shape(reply):
    """Type and size, for replies that chance decides."""
    tag, value = reply
    return tag, [shape(item) for item in value] if isinstance(value, list) else value is None


def without_times(reply):
    """XINFO's reply without the clock, and without the nodes of a tree that is another one here."""
    tag, value = reply
    if tag == ":":
        return tag, "now" if value > MOMENT else value
    if tag == "%":
        value = [part for pair in value for part in pair]
    if tag not in "*%" or not value:
        return reply
    kept = []
    for index, item in enumerate(value):
        name = value[index - 1][1] if index % 2 and value[index - 1][0] == "$" else None
        if name == b"radix-tree-nodes":
            continue
        clocked = name in STREAM_TIMES and item[0] == ":"
        kept.append((":", "never" if item[1] < 0 else "a time") if clocked else without_times(item))
    return tag, kept


def without_idle(reply):
    """XPENDING's entries: how long ago each was delivered, in steps of a hundred seconds."""
    tag, value = reply
    if tag != "*" or not value or value[0][0] != "*":
        return reply
    return tag, [(t, [e[0], e[1], (":", e[2][1] // 100_000), e[3]]) for t, e in value]


def normal(words, reply):
    """A reply without what the protocol leaves open: the order of a set, the draw of a lot, the age of a key."""
    tag, value = reply
    name = words[0].upper()
    if tag == "-":
        return reply
    if name in RANDOM:
        return shape(reply)
    if name in CLOCKED and tag == ":":
        return tag, value if value < 0 else "positive"
    if name in MOMENTS and tag == ":":
        return tag, value if value < 0 or value > MOMENTS[name] else "reckoned from now"
    unsorted = name in ("SORT", "SORT_RO") and "nosort" in words
    libraries = name == "FUNCTION" and words[1:2] == ["LIST"]
    if tag in "*~" and value and (name in UNORDERED or unsorted or libraries):
        return tag, sorted(value, key=key_of)
    if tag == "*" and value and name in PAIRED:
        return tag, pairs(value)
    if tag == "%" and name in PAIRED:
        return tag, sorted(value, key=key_of)
    if name in FIELDS_CLOCKED and tag == "*" and value:
        least = FIELDS_CLOCKED[name]
        return tag, [n if n < 0 or 0 < least < n else "reckoned from now" for _, n in value]
    if name == "XINFO":
        return without_times(reply)
    if name == "XPENDING":
        return without_idle(reply)
    if name in SCANS and tag == "*":
        cursor, (inner_tag, items) = value
        alone = name in ("SCAN", "SSCAN") or "NOVALUES" in words
        items = sorted(items, key=key_of) if alone else pairs(items)
        return tag, [cursor, (inner_tag, items)]
    return reply


class Player:
    """One server: two connections, and what must be remembered to judge an EXEC's reply."""

    def __init__(self, port, protocol):
        self.protocol = protocol
        self.port = port
        self.connections = []

    def reset(self):
        self.close()
        self.connections = [resp.Connection(self.port) for _ in range(2)]
        self.queued = [[], []]
        for connection in self.connections:
            if self.protocol == 3:
                connection.ask("HELLO", "3")
        for words in (["FLUSHALL"], ["SCRIPT", "FLUSH"], ["FUNCTION", "FLUSH"]):
            self.connections[0].ask(*words)
        self.set_back()

    def set_back(self):
        """The settings that sequences change: the servers are shared with other tests."""
        self.connections[0].ask("DISCARD")
        for words in SETTINGS:
            self.connections[0].ask("CONFIG", "SET", *words)

    def play(self, step):
        index, words = step
        reply = self.connections[index].ask(*[word.encode("latin-1") for word in words])
        if reply == ("+", "QUEUED"):
            self.queued[index].append(words)
            return reply
        name = words[0].upper()
        if name == "EXEC" and reply[0] == "*" and reply[1] is not None:
            inner = zip(self.queued[index], reply[1], strict=False)
            reply = "*", [normal(queued, item) for queued, item in inner]
        if name in ("EXEC", "DISCARD", "MULTI", "RESET"):
            self.queued[index] = []
        return normal(words, reply)

    def state(self):
        """Every key of every database in use, as a client sees it."""
        seen = {}
        one = resp.Connection(self.port)
        for database in range(3):
            one.ask("SELECT", database)
            for _, key in sorted(one.ask("KEYS", "*")[1]):
                kind = one.ask("TYPE", key)[1]
                read = {
                    "string": ("GET", key),
                    "list": ("LRANGE", key, 0, -1),
                    "hash": ("HGETALL", key),
                    "set": ("SMEMBERS", key),
                    "zset": ("ZRANGE", key, 0, -1, "WITHSCORES"),
                    "stream": ("XINFO", "STREAM", key, "FULL", "COUNT", 0),
                }[kind]
                seen[database, key] = (
                    kind,
                    normal(list(map(str, read)), one.ask(*read)),
                    one.ask("OBJECT", "ENCODING", key)[1],
                    one.ask("PEXPIRETIME", key)[1] > 0,
                )
        one.close()
        return seen

    def close(self):
        if self.connections:
            self.set_back()
        for connection in self.connections:
            connection.close()
        self.connections = []


def excused(words, expected, actual):
    """As a whole; or, of an array (EXEC's), what differs in it is."""
    if any(applies(words, expected, actual) for applies in EXCEPTIONS.values()):
        return True
    if expected[0] == actual[0] == "*" and expected[1] and actual[1] and len(expected[1]) == len(actual[1]):
        return all(a == b or excused(words, a, b) for a, b in zip(expected[1], actual[1], strict=True))
    return False


def behind_the_first_entry(expected, actual):
    """Of a stream's state."""
    if not expected or not actual or expected[0] != "stream" or actual[0] != "stream":
        return False
    return expected[2:] == actual[2:] and EXCEPTIONS["group behind the first entry"](["XINFO"], expected[1], actual[1])


def first_difference(original, trivet, steps):
    """(index, expected, actual) of the first reply that differs, or None. Index -1: only the final states differ."""
    original.reset()
    trivet.reset()
    for index, step in enumerate(steps):
        if any(applies(step[1]) for applies in AVOIDED.values()):
            continue
        expected, actual = original.play(step), trivet.play(step)
        if expected != actual and not excused(step[1], expected, actual):
            return index, resp_text(expected), resp_text(actual)
    expected, actual = original.state(), trivet.state()
    for key in sorted(expected.keys() | actual.keys()):
        if expected.get(key) != actual.get(key) and not behind_the_first_entry(expected.get(key), actual.get(key)):
            return -1, f"{key}: {expected.get(key)}", f"{key}: {actual.get(key)}"
    return None


def resp_text(reply):
    try:
        return resp.show(reply)
    except (TypeError, ValueError):
        return repr(reply)


def shrink(original, trivet, steps, rounds_max=400):
    """Leaves out what is not needed for a difference to show."""
    found = first_difference(original, trivet, steps)
    steps = steps[: found[0] + 1] if found[0] >= 0 else steps
    size = max(1, len(steps) // 2)
    while rounds_max > 0:
        start, shorter = 0, False
        while start < len(steps) and rounds_max > 0:
            trial = steps[:start] + steps[start + size :]
            rounds_max -= 1
            if trial and first_difference(original, trivet, trial):
                steps, shorter = trial, True
            else:
                start += size
        if size == 1 and not shorter:
            break
        size = max(1, size // 2)
    return steps, first_difference(original, trivet, steps)


def report(seed, steps, found):
    index, expected, actual = found
    lines = [f"seed {seed}: after these {len(steps)} commands (connection: words)"]
    lines += [f"  {connection}: {' '.join(repr(w) for w in words)[:300]}" for connection, words in steps[-40:]]
    where = "the last reply" if index >= 0 else "the state left behind"
    return "\n".join([*lines, f"{where} differs:", f"  original: {expected[:1500]}", f"  trivet:   {actual[:1500]}"])

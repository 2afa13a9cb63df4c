"""RESP2 and RESP3: commands out, replies in as tagged trees.

A reply is a tuple (tag, value), with the tag the wire's own first byte: ("+", "OK"), ("-", "ERR ..."), (":", 1),
("$", b"..." or None), ("*", [replies] or None), ("%", [(key, value)]), ("~", [...]), (">", [...]), (",", "1.5"),
("#", True), ("_", None), ("(", "123"), ("=", b"txt:..."). Nothing is converted further: 1 and "1" stay different.
"""

import socket


def encode(*words):
    """A command as an array of bulk strings."""
    out = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(out)


class Connection:
    """One blocking connection."""

    def __init__(self, port, host="127.0.0.1", seconds=60):
        self.socket = socket.create_connection((host, port), timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", buffering=1 << 16)

    def send(self, *words):
        self.socket.sendall(encode(*words))

    def ask(self, *words):
        self.send(*words)
        return self.read()

    def read(self):
        line = self._line()
        tag, rest = chr(line[0]), line[1:]
        if tag in "+-,(":
            return tag, rest.decode("latin-1")
        if tag == ":":
            return tag, int(rest)
        if tag in "$=!":
            return tag, self._bulk(int(rest))
        if tag in "*~>":
            count = int(rest)
            return tag, None if count < 0 else [self.read() for _ in range(count)]
        if tag == "%":
            return tag, [(self.read(), self.read()) for _ in range(int(rest))]
        if tag == "|":  # attributes of the reply behind them
            return tag, [*((self.read(), self.read()) for _ in range(int(rest))), self.read()]
        if tag == "#":
            return tag, rest == b"t"
        if tag == "_":
            return tag, None
        raise AssertionError(f"not RESP: {line!r}")

    def _line(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError(f"closed in the middle of a reply, after {line!r}")
        return line[:-2]

    def _bulk(self, size):
        if size < 0:
            return None
        data = self.file.read(size + 2)
        if len(data) != size + 2 or data[-2:] != b"\r\n":
            raise ConnectionError("closed in the middle of a bulk string")
        return data[:-2]

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def show(reply):
    """A reply in one readable line."""
    tag, value = reply
    if isinstance(value, list):
        items = [f"{show(a)}: {show(b)}" for a, b in value] if tag == "%" else [show(item) for item in value]
        return f"{tag}[{', '.join(items)}]"
    return f"{tag}{value!r}"

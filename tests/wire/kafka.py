"""Kafka's protocol: frames, the primitive types, and record batches, from the layouts in kafka_schemas."""

import re
import socket
import struct
import time

from .crc32c import crc32c
from .kafka_schemas import KEYS, SCHEMAS

NUMBERS = {"i8": ">b", "i16": ">h", "i32": ">i", "i64": ">q", "bool": ">?"}


ASSIGNED = (False, [("id", "uuid"), ("partitions", (False, "i32"))])
DESCRIBED = (False, [("id", "uuid"), ("name", "str"), ("partitions", (False, "i32"))])


def parse(text):
    """A layout as [(name, type)], where type is a word or (nullable, inner), inner a word or such a list."""
    tokens = re.findall(r"\?\[|\[|\]|[^\s\[\]?]+", text)

    def fields(at):
        found = []
        while at < len(tokens) and tokens[at] != "]":
            name, _, kind = tokens[at].partition(":")
            at += 1
            if not kind and at < len(tokens) and tokens[at] in ("[", "?["):
                nullable = tokens[at] == "?["
                inner, at = fields(at + 1)
                at += 1  # the closing bracket
                kind = (nullable, inner[0][0] if len(inner) == 1 and inner[0][1] == "" else inner)
            found.append((name, kind))
        return found, at

    return fields(0)[0]


LAYOUTS = {key: (flexible, parse(request), parse(response)) for key, (flexible, request, response) in SCHEMAS.items()}


def uvarint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def varint(value):
    return uvarint((value << 1) ^ (value >> 63))


def read_varint(data, at):
    """The value and where it ends."""
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at


class Writer:
    def __init__(self, flexible):
        self.flexible, self.out = flexible, []

    def number(self, form, value):
        self.out.append(struct.pack(form, value))

    def length(self, value, classic=">i"):
        """A length, None for null."""
        if self.flexible:
            self.out.append(uvarint(0 if value is None else value + 1))
        else:
            self.number(classic, -1 if value is None else value)

    def value(self, kind, value):
        if isinstance(kind, tuple):
            self.length(None if value is None else len(value))
            for item in value or []:
                self.struct(kind[1], item) if isinstance(kind[1], list) else self.value(kind[1], item)
        elif kind in NUMBERS:
            self.number(NUMBERS[kind], value)
        elif kind in ("str", "nstr"):
            data = None if value is None else value.encode()
            self.length(None if data is None else len(data), ">h")
            self.out.append(data or b"")
        elif kind in ("bytes", "records"):
            self.length(None if value is None else len(value))
            self.out.append(value or b"")
        elif kind == "uuid":
            self.out.append(value or bytes(16))
        elif kind == "nullstruct":
            self.number(">b", -1)
        else:
            raise AssertionError(kind)

    def struct(self, fields, values):
        assert set(values) == {name for name, _ in fields}, (sorted(values), fields)
        for name, kind in fields:
            self.value(kind, values[name])
        if self.flexible:
            self.out.append(b"\0")


class Reader:
    def __init__(self, data, flexible):
        self.data, self.at, self.flexible = data, 0, flexible

    def take(self, size):
        data = self.data[self.at : self.at + size]
        assert len(data) == size, "the reply is too short for its layout"
        self.at += size
        return data

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def length(self, classic=">i"):
        return self.uvarint() - 1 if self.flexible else self.number(classic)

    def value(self, kind):
        if isinstance(kind, tuple):
            count = self.length()
            assert count >= 0 or kind[0], "null where the layout allows none"
            inner = self.struct if isinstance(kind[1], list) else self.value
            return None if count < 0 else [inner(kind[1]) for _ in range(count)]
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind in ("str", "nstr"):
            size = self.length(">h")
            assert size >= 0 or kind == "nstr", "null where the layout allows none"
            return None if size < 0 else self.take(size).decode()
        if kind in ("bytes", "records"):
            size = self.length()
            return None if size < 0 else self.take(size)
        if kind == "uuid":
            return self.take(16)
        if kind == "assignment":
            return None if self.number(">b") < 0 else self.struct([("parts", ASSIGNED)])["parts"]
        if kind == "described":
            return self.struct([("parts", DESCRIBED)])["parts"]
        if kind == "nullstruct":
            assert self.number(">b") == -1
            return None
        if kind == "tags":
            return self.tags()
        raise AssertionError(kind)

    def struct(self, fields):
        values = {name: self.value(kind) for name, kind in fields}
        if self.flexible:
            self.tags()
        return values

    def tags(self):
        for _ in range(self.uvarint()):
            self.uvarint()
            self.take(self.uvarint())


def request(api, version, correlation, fields, client="tests"):
    flexible, layout, _ = LAYOUTS[api, version]
    writer = Writer(flexible)
    writer.struct(layout, fields)
    name = client.encode()
    header = struct.pack(">hhih", KEYS[api], version, correlation, len(name)) + name + (b"\0" if flexible else b"")
    body = header + b"".join(writer.out)
    return struct.pack(">i", len(body)) + body


class Connection:
    def __init__(self, port, host="127.0.0.1", seconds=60):
        self.socket = socket.create_connection((host, port), timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.correlation = 0

    def send(self, api, version, **fields):
        self.correlation += 1
        self.socket.sendall(request(api, version, self.correlation, fields))
        return self.correlation

    def ask(self, api, version, **fields):
        correlation = self.send(api, version, **fields)
        return self.decode(api, version, correlation, self.read_frame())

    def decode(self, api, version, correlation, frame):
        flexible, _, layout = LAYOUTS[api, version]
        reader = Reader(frame, flexible)
        assert reader.number(">i") == correlation, "a reply to another request"
        if flexible and api != "ApiVersions":
            reader.tags()
        values = reader.struct(layout)
        assert reader.at == len(frame), f"{len(frame) - reader.at} bytes too many after {values}"
        return values

    def read_frame(self):
        return self.read(struct.unpack(">i", self.read(4))[0])

    def read(self, size):
        data = b""
        while len(data) < size:
            chunk = self.socket.recv(size - len(data))
            if not chunk:
                raise ConnectionError("closed by the broker")
            data += chunk
        return data

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# Record batches, magic 2.
def record(index, key, value, headers=(), time_delta=0):
    def sized(data):
        return varint(-1) if data is None else varint(len(data)) + data

    body = b"\0" + varint(time_delta) + varint(index) + sized(key) + sized(value) + varint(len(headers))
    for name, data in headers:
        body += varint(len(name)) + name + sized(data)
    return varint(len(body)) + body


# When records are from unless a test says otherwise: retention, whose rounds come at times of their own, takes old ones away.
# The same through the run, so that two servers that are compared are sent the same bytes.
NOW_MS = int(time.time() * 1000)


def batch(values, *, offset=0, magic=2, attributes=0, time=NOW_MS, producer=-1, epoch=-1, sequence=-1,
          last_delta=None, count=None, crc=None, leader_epoch=-1, keys=None, payload=None):  # fmt: skip
    """A batch of values; the named arguments can be given false ones, and `payload` what stands for the records."""
    last = len(values) - 1 if last_delta is None else last_delta
    records = b"".join(record(n, keys[n] if keys else None, value) for n, value in enumerate(values))
    records = records if payload is None else payload
    fields = (attributes, last, time, time, producer, epoch, sequence, len(values) if count is None else count)
    checked = struct.pack(">hiqqqhii", *fields) + records
    tail = struct.pack(">ibI", leader_epoch, magic, crc32c(checked) if crc is None else crc) + checked
    return struct.pack(">qi", offset, len(tail)) + tail


RECORDS_AT = 34  # in "rest": behind two times, producer, epoch, sequence and count


def batches(records):
    """The headers of the batches in what a Fetch returned, the partial last one left out."""
    found = []
    while len(records or b"") >= 61:
        base, size = struct.unpack_from(">qi", records)
        if len(records) < 12 + size:
            break
        epoch, magic, crc, attributes, last = struct.unpack_from(">ibIhi", records, 12)
        found.append(
            {"base": base, "size": size, "magic": magic, "attributes": attributes, "last": last, "crc": crc,
             "crc is right": crc == crc32c(records[21 : 12 + size]), "epoch": epoch, "rest": records[27 : 12 + size]}
        )  # fmt: skip
        records = records[12 + size :]
    return found


def records(batch):
    """(offset, key, value) of each record of one that batches() found; uncompressed."""
    data, at, found = batch["rest"], RECORDS_AT, []

    def sized(at):
        size, at = read_varint(data, at)
        return (None, at) if size < 0 else (data[at : at + size], at + size)

    while at < len(data):
        size, at = read_varint(data, at)
        end = at + size
        _, at = read_varint(data, at + 1)  # behind the attributes: the time
        offset, at = read_varint(data, at)
        key, at = sized(at)
        value, _ = sized(at)
        found.append((batch["base"] + offset, key, value))
        at = end
    return found

"""What no client should send to Redis: each is answered with an error or a close, and the server stays up."""

import random

import pytest

from harness.process import exchange

CASES = {
    "a bulk longer than 512 MB": (b"*1\r\n$536870913\r\n", b"-ERR Protocol error: invalid bulk length"),
    "a negative bulk length": (b"*1\r\n$-5\r\nPING\r\n", b"-ERR Protocol error: invalid bulk length"),
    "a bulk length of letters": (b"*1\r\n$abc\r\n", b"-ERR Protocol error: invalid bulk length"),
    "more arguments than an int can count": (b"*2147483648\r\n", b"-ERR Protocol error: invalid multibulk length"),
    "an array length beyond 64 bits": (b"*99999999999999999999\r\n", b"-ERR Protocol error: invalid multibulk length"),
    "an array length of letters": (b"*x\r\n", b"-ERR Protocol error: invalid multibulk length"),
    "something else than a bulk": (b"*1\r\n:1\r\n", b"-ERR Protocol error: expected '$', got ':'"),
    "an inline line without end": (b"x" * 70_000, b"-ERR Protocol error: too big inline request"),
    "an array header without end": (b"*" + b"1" * 70_000, b"-ERR Protocol error: too big mbulk count string"),
    "a bulk header without end": (b"*1\r\n$" + b"1" * 70_000, b"-ERR Protocol error: too big bulk count string"),
    "unbalanced quotes": (b'SET "k\r\n', b"-ERR Protocol error: unbalanced quotes in request"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_protocol_error_is_named_and_the_connection_closed(ports, name):
    request, expected = CASES[name]
    assert exchange(ports["redis"], request, 3).startswith(expected)


@pytest.mark.parametrize("cut", [1, 4, 9, 13, 20, 26])
def test_a_command_cut_short_does_nothing(ports, cut):
    whole = b"*3\r\n$3\r\nSET\r\n$6\r\nhalved\r\n$1\r\nv\r\n"
    assert exchange(ports["redis"], whole[:cut], 0.1) == b""
    assert exchange(ports["redis"], b"EXISTS halved\r\nQUIT\r\n") == b":0\r\n+OK\r\n"


def test_http_is_not_mistaken_for_redis(ports):
    for request in (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
        assert b"SET" not in exchange(ports["redis"], request + b"SET stolen 1\r\n", 1)
    assert exchange(ports["redis"], b"EXISTS stolen\r\nQUIT\r\n") == b":0\r\n+OK\r\n"


@pytest.mark.seeds(20)
def test_random_bytes_never_stop_it(ports, seed):
    draw = random.Random(seed)
    pieces = [b"*", b"$", b"\r\n", b"3", b"-1", b"SET", b"k", b"\0", b'"', b"GET", b"1048576", b"EXEC", b" ", b"\n"]
    for _ in range(10):
        count = draw.randint(1, 60)
        request = b"".join(draw.choice(pieces) if draw.random() < 0.9 else draw.randbytes(5) for _ in range(count))
        exchange(ports["redis"], request + b"\r\n", 0.02)

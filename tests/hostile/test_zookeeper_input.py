"""What no client should send to ZooKeeper: an error in the reply or a close, and the server stays up."""

import random
import socket
import struct

import pytest

from harness.process import HOST, exchange
from wire import jute


def closed(port, data, seconds=5):
    with socket.create_connection((HOST, port), timeout=seconds) as conn:
        try:
            conn.sendall(data)
            return conn.recv(1) == b""
        except ConnectionError:
            return True


@pytest.mark.parametrize("size", [-1, -(2**31), 2**31 - 1, 0xFFFFF + 1])
def test_an_impossible_first_frame_closes_the_connection(ports, size):
    assert closed(ports["zookeeper"], struct.pack(">i", size) + b"x" * 50)


@pytest.mark.parametrize("size", [-1, 2**31 - 1, 0xFFFFF + 2000])
def test_an_impossible_later_frame_closes_the_connection(ports, size):
    one = jute.Connection(ports["zookeeper"])
    one.socket.sendall(struct.pack(">i", size) + b"x" * 50)
    with pytest.raises(OSError):
        one.read_frame()
    one.close()


def test_a_client_that_has_seen_the_future_is_not_served(ports):
    with pytest.raises((jute.Closed, ConnectionError)):
        jute.Connection(ports["zookeeper"], zxid=2**62)


def test_an_unknown_operation_is_unimplemented_and_ends_the_connection(ports):
    one = jute.Connection(ports["zookeeper"])
    assert one.ask(999)[2] == -6
    with pytest.raises(OSError):
        one.ask(jute.EXISTS, jute.read("/"))
    one.close()


@pytest.mark.parametrize(
    "body", [b"", b"\0\0\0\x09/short", jute.i32(2**31 - 1) + b"/a", jute.i32(-5) + b"/a", jute.text("/a")],
    ids=["empty", "string cut short", "string of 2 GB", "negative length", "data missing"],
)  # fmt: skip
def test_a_malformed_create_is_an_error_or_a_close(ports, body):
    one = jute.Connection(ports["zookeeper"])
    try:
        assert one.ask(jute.CREATE, body)[2] in (-5, -8)
    except OSError:
        pass
    one.close()


def test_wrong_credentials_end_the_connection(ports):
    one = jute.Connection(ports["zookeeper"])
    assert one.ask(jute.AUTH, jute.auth("nosuch", b"x"), xid=jute.AUTH_XID)[2] == -115
    with pytest.raises(OSError):
        one.read_frame()
    one.close()


def test_sasl_without_a_token_ends_the_connection(ports):
    one = jute.Connection(ports["zookeeper"])
    assert one.ask(jute.SASL, jute.buffer(b"token"))[1:] == (0, 0, jute.buffer(None))
    with pytest.raises(OSError):
        one.ask(jute.SASL, jute.buffer(None))
    one.close()


def test_reconfig_is_disabled_and_a_malformed_one_an_error(ports):
    one = jute.Connection(ports["zookeeper"])
    assert one.ask(jute.RECONFIG, jute.text("server.9=a:1:2;3") * 3 + jute.i64(-1))[2] == -123
    assert one.ask(jute.RECONFIG, b"")[2] == -5
    one.end()


def test_unknown_letters_are_no_command(ports):
    assert exchange(ports["zookeeper"], b"abcd", 1) == b""


@pytest.mark.seeds(20)
def test_random_changes_to_valid_requests_never_stop_it(ports, seed):
    draw = random.Random(seed)
    valid = [
        (jute.CREATE, jute.create("/hostile", b"data", jute.EPHEMERAL)),
        (jute.MULTI, jute.multi([(jute.CREATE, jute.create("/hostile")), (jute.DELETE, jute.delete("/hostile"))])),
        (jute.SET_WATCHES2, jute.set_watches(0, ["/a"], ["/b"], ["/c"], [], [])),
        (jute.GET_DATA, jute.read("/", True)),
    ]  # fmt: skip
    one = jute.Connection(ports["zookeeper"])
    one.socket.settimeout(0.05)
    for _ in range(30):
        op, body = draw.choice(valid)
        data = bytearray(jute.frame(jute.i32(5) + jute.i32(op) + body))
        for _ in range(draw.randint(1, 3)):
            data[draw.randrange(4, len(data))] = draw.randrange(256)
        try:
            one.socket.sendall(data)
            one.socket.recv(4096)
        except TimeoutError:
            pass
        except OSError:
            one.close()
            one = jute.Connection(ports["zookeeper"])
            one.socket.settimeout(0.05)
    one.close()

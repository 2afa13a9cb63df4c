"""What all connections together hold is bounded: input that is not whole yet, and replies that nobody reads."""

import contextlib
import socket
import struct

import pytest

from harness.process import HOST
from harness.trivet import Trivet
from wire import jute, kafka, resp

from .conftest import wait_until

pytestmark = pytest.mark.trivet_only
MIB = 1 << 20
PIECE = bytes(MIB)


@contextlib.contextmanager
def running(directives):
    with Trivet(directives) as server:
        yield server.start()


def connect(server, wing):
    conn = socket.create_connection((HOST, server.port_of(wing)), timeout=60)
    conn.settimeout(2)
    return conn


def send_all(conn, data):
    """False when the server closed it, or takes no more."""
    try:
        conn.sendall(data)
    except OSError:
        return False
    return True


def is_closed(conn):
    try:
        return conn.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def close_all(conns):
    for conn in conns:
        conn.close()


# A frame, or a bulk string, of 100 MB is announced.
ANNOUNCED = {"kafka": struct.pack(">i", 100_000_000), "redis": b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\n"}


@pytest.mark.parametrize("wing", ["kafka", "redis"])
def test_fifty_frames_that_come_in_part_stay_within_the_budget(answers, no_stall, wing):
    """Case R12, with the frames' parts and the budget a third of it."""
    with running({"trivet": {"input-bytes-max": "128mb"}}) as server:
        before, conns = server.resident_bytes(), [connect(server, wing) for _ in range(50)]
        with no_stall(server):
            for conn in conns:
                send_all(conn, ANNOUNCED[wing])
            for _ in range(10):
                for conn in conns:
                    send_all(conn, PIECE)
            assert server.metric("trivet_input_bytes") <= (128 + 32) * MIB  # the greediest does not count
            assert server.resident_bytes() - before < 256 * MIB
            wait_until(lambda: server.metric("trivet_connections_closed_for_input_total") > 20)
            answers[wing](server.port_of(wing))
        assert "trivet.input-bytes-max" in server.log_tail(10)
        close_all(conns)


def test_the_budget_s_default_holds_half_a_gigabyte_at_most(answers):
    """Case R12 as it stands, but for the kernel's sake in parts of 16 MB: 800 MB in all."""
    with running({}) as server:
        assert 64 * MIB <= server.metric("trivet_input_bytes_max") <= 512 * MIB
        before, conns = server.resident_bytes(), [connect(server, "kafka") for _ in range(50)]
        for conn in conns:
            send_all(conn, ANNOUNCED["kafka"])
        for _ in range(16):
            for conn in conns:
                send_all(conn, PIECE)
        assert server.resident_bytes() - before < 700 * MIB
        answers["kafka"](server.port_of("kafka"))
        close_all(conns)


def test_many_small_frames_of_zookeeper_stay_within_the_budget(answers):
    with running({"zookeeper": {"maxClientCnxns": 0}, "trivet": {"input-bytes-max": "16mb"}}) as server:
        sessions = [jute.Connection(server.port_of("zookeeper")) for _ in range(40)]
        for session in sessions:
            send_all(session.socket, struct.pack(">i", 1_000_000) + PIECE[:900_000])
        answers["zookeeper"](server.port_of("zookeeper"))
        assert server.metric("trivet_input_bytes") <= (16 + 2) * MIB
        wait_until(lambda: server.metric("trivet_connections_closed_for_input_total") > 10)


def test_what_is_only_announced_takes_no_memory():
    with running({}) as server:
        before, conns = server.resident_bytes(), [connect(server, "kafka") for _ in range(100)]
        for conn in conns:
            send_all(conn, ANNOUNCED["kafka"] + b"x")
        wait_until(lambda: server.metric("trivet_input_bytes") >= 100 * 5)
        assert server.metric("trivet_input_bytes") < 100 * 256 * 1024
        assert server.resident_bytes() - before < 64 * MIB
        close_all(conns)


def test_one_huge_value_alone_passes_the_budget():
    with running({"trivet": {"input-bytes-max": "16mb"}}) as server:
        with resp.Connection(server.port_of("redis")) as connection:
            value = bytes(48 * MIB)
            assert connection.ask("SET", "k", value) == ("+", "OK")
            assert connection.ask("STRLEN", "k") == (":", len(value))
        assert server.metric("trivet_connections_closed_for_input_total") == 0


def test_replies_that_nobody_reads_stay_within_the_budget(answers, no_stall):
    """Case R5's kind: twenty clients, each with replies of 20 MB in one go."""
    with running({"trivet": {"output-bytes-max": "64mb"}}) as server:
        with resp.Connection(server.port_of("redis")) as setter:
            setter.ask("SET", "big", bytes(20 * MIB))
        before = server.resident_bytes()
        readers = [connect(server, "redis") for _ in range(20)]
        with no_stall(server):
            for reader in readers:
                send_all(reader, resp.encode("GET", "big"))
                answers["redis"](server.port_of("redis"))
        assert server.metric("trivet_output_bytes") <= 64 * MIB + 20 * MIB
        assert server.resident_bytes() - before < 160 * MIB
        wait_until(lambda: server.metric("trivet_connections_closed_for_output_total") > 5)
        assert "trivet.output-bytes-max" in server.log_tail(10)
        close_all(readers)


def test_an_amount_of_memory_that_is_none_is_refused():
    from harness.process import ServerError

    server = Trivet({"trivet": {"input-bytes-max": "much"}})
    with pytest.raises(ServerError, match="input-bytes-max is an amount of memory, as 64mb, not 'much'"):
        server.start()

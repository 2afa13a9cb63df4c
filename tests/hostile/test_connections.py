"""Clients that are slow, silent or many."""

import resource
import socket
import time

import pytest

from harness.process import HOST
from wire import jute, kafka, resp

WINGS = ["redis", "kafka", "zookeeper"]
REQUESTS = {
    "redis": (resp.encode("PING"), b"+PONG\r\n"),
    "kafka": (kafka.request("ApiVersions", 0, 9, {}), None),
    "zookeeper": (jute.frame(jute.connect_request()), None),
}

ROOM_FOR_MANY = {"redis": {"maxclients": 10_100}, "kafka": {}, "zookeeper": {"maxClientCnxns": 0}}


def open_many(port, count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + 200:
        if hard != resource.RLIM_INFINITY and hard < count + 200:
            pytest.skip(f"only {hard} open files allowed, {count} wanted")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count + 200, hard))
    return [socket.create_connection((HOST, port), timeout=60) for _ in range(count)]


def idle(ports, answers, wing, count):
    opened = open_many(ports[wing], count)
    try:
        answers[wing](ports[wing])
        # Not only accepted but served: the first and the last get an answer.
        if wing == "redis":
            for conn in (opened[0], opened[-1]):
                conn.sendall(b"PING\r\n")
                assert conn.recv(7) == b"+PONG\r\n"
    finally:
        for conn in opened:
            conn.close()


@pytest.mark.parametrize("wing", WINGS)
def test_five_hundred_idle_connections_leave_room_for_one_more(ports, answers, wing):
    idle(ports, answers, wing, 500)


@pytest.mark.soak
@pytest.mark.trivet_only
@pytest.mark.parametrize("wing", WINGS)
def test_ten_thousand_idle_connections_leave_room_for_one_more(launch, answers, wing):
    server = launch(wing, **ROOM_FOR_MANY[wing])
    idle({wing: server.port_of(wing)}, answers, wing, 10_000)


@pytest.mark.parametrize("wing", WINGS)
def test_a_request_byte_by_byte_is_answered_like_any_other(ports, answers, wing):
    request, expected = REQUESTS[wing]
    with socket.create_connection((HOST, ports[wing]), timeout=60) as conn:
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request:
            conn.sendall(bytes([byte]))
            time.sleep(0.002)
            answers_meanwhile = byte % 7 == 0
            if answers_meanwhile:
                answers[wing](ports[wing])
        reply = conn.recv(100)
        assert reply == expected if expected else len(reply) > 4


@pytest.mark.soak
@pytest.mark.parametrize("wing", WINGS)
def test_one_byte_a_second_is_answered_like_any_other(ports, wing):
    request, expected = REQUESTS[wing]
    with socket.create_connection((HOST, ports[wing]), timeout=60) as conn:
        for byte in request:
            conn.sendall(bytes([byte]))
            time.sleep(1)
        reply = conn.recv(100)
        assert reply == expected if expected else len(reply) > 4


@pytest.mark.parametrize("wing", WINGS)
def test_connections_that_come_and_go_leave_nothing_behind(shared, ports, wing):
    import os

    server = shared.of(wing)
    count = lambda: len(os.listdir(f"/proc/{server.pid}/fd"))  # noqa: E731
    before = count()
    for _ in range(300):
        socket.create_connection((HOST, ports[wing]), timeout=60).close()
    deadline = time.monotonic() + 20
    while count() > before + 20:
        assert time.monotonic() < deadline, f"{count() - before} files stay open"
        time.sleep(0.05)

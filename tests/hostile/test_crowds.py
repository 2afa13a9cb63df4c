"""Those who say nothing, those who stop in the middle, and more of them than there is room for."""

import resource
import socket
import time
import urllib.request

import pytest

from harness.process import HOST, ServerError
from harness.trivet import Trivet
from wire import jute, kafka, resp

from .conftest import wait_until

pytestmark = pytest.mark.trivet_only


def connect(server, wing, count):
    return [socket.create_connection((HOST, server.port_of(wing)), timeout=60) for _ in range(count)]


def close_all(conns):
    for conn in conns:
        conn.close()


def is_closed(conn, seconds):
    conn.settimeout(seconds)
    try:
        return conn.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def finds_room(ask, port):
    """Whether a newcomer is served; the one who made room for it may not have been missed yet."""
    try:
        ask(port)
    except (OSError, AssertionError):
        return False
    return True


def page(server, path):
    with urllib.request.urlopen(f"http://{HOST}:{server.port_of('http')}{path}", timeout=20) as reply:
        return reply.status, reply.read().decode()


def test_sockets_that_say_nothing_to_zookeeper_make_room_within_seconds():
    """Case R10."""
    with Trivet() as server:
        server.start()
        silent = connect(server, "zookeeper", 60)
        assert is_closed(socket.create_connection((HOST, server.port_of("zookeeper"))), 5)  # the address is full
        assert is_closed(silent[0], 30)
        wait_until(lambda: finds_room(lambda port: jute.Connection(port).end(), server.port_of("zookeeper")), 30)
        assert server.metric("trivet_connections_closed_late_total") > 0
        assert "did not say who it is in time" in server.log_tail(20)
        close_all(silent)


def test_half_requests_do_not_keep_a_health_check_out():
    with Trivet() as server:
        server.start()
        halves = []
        for number in range(1500):
            half = socket.create_connection((HOST, server.port_of("http")), timeout=60)
            half.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\nX-Half: ")
            halves.append(half)
            if number % 300 == 299:
                assert page(server, "/healthz") == (200, "ok\n")
        assert page(server, "/readyz")[0] == 200
        assert server.metric("trivet_http_connections_evicted_total") > 1000
        with resp.Connection(server.port_of("redis")) as connection:
            assert connection.ask("PING") == ("+", "PONG")
        close_all(halves)


def test_more_connections_than_all_protocols_may_have_are_told_so_and_find_room_later():
    with Trivet({"trivet": {"connections-max": 40}, "zookeeper": {"maxClientCnxns": 0}}) as server:
        server.start()
        held = connect(server, "redis", 15) + connect(server, "kafka", 15) + connect(server, "zookeeper", 10)
        wait_until(lambda: server.metric("trivet_connections") == 40)  # each reactor accepts its own
        with socket.create_connection((HOST, server.port_of("redis")), timeout=20) as late:
            assert late.recv(100) == b"-ERR max number of clients reached\r\n"
        assert is_closed(socket.create_connection((HOST, server.port_of("kafka"))), 20)
        assert is_closed(socket.create_connection((HOST, server.port_of("zookeeper"))), 20)
        assert page(server, "/healthz")[0] == 200  # HTTP has places of its own
        assert "trivet.connections-max" in server.log_tail(20)
        held.pop().close()
        wait_until(lambda: server.metric("trivet_connections") < 40)
        with kafka.Connection(server.port_of("kafka")) as connection:
            assert connection.ask("ApiVersions", 0)["error"] == 0
        close_all(held)


def is_told(conn):
    """That there is no room, in words or by closing it."""
    conn.settimeout(0.01)
    try:
        return conn.recv(100) in (b"-ERR max number of clients reached\r\n", b"")
    except TimeoutError:
        return False
    except OSError:
        return True


def start_with_files(limit, directives=None):
    """A server whose hard limit of open files is this."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    class Limited(Trivet):
        def command(self):
            return ["prlimit", f"--nofile={limit}", *super().command()]

    assert before[1] == resource.RLIM_INFINITY or before[1] >= limit
    return Limited(directives).start()


def test_a_crowd_leaves_descriptors_for_files_and_is_told_instead_of_left_waiting():
    server = start_with_files(128, {"zookeeper": {"maxClientCnxns": 0}})
    try:
        crowd = connect(server, "redis", 300)
        waiting = list(crowd)

        def all_are_served_or_told():
            waiting[:] = [conn for conn in waiting if not is_told(conn)]
            return len(crowd) - len(waiting) + server.metric("trivet_connections") >= 300

        wait_until(all_are_served_or_told)
        assert len(waiting) < 100
        assert page(server, "/healthz")[0] == 200
        close_all(crowd)
        wait_until(lambda: server.metric("trivet_connections") == 0)
        with resp.Connection(server.port_of("redis")) as connection:
            assert connection.ask("BGREWRITEAOF")[0] == "+"  # opens files
    finally:
        server.close()


def test_kafka_counts_connections_by_address(answers):
    limits = {"max.connections.per.ip": 3, "max.connections.per.ip.overrides": "192.0.2.9:1,127.0.0.1:5"}
    with Trivet({"kafka": limits}) as server:
        server.start()
        held = connect(server, "kafka", 5)
        assert is_closed(socket.create_connection((HOST, server.port_of("kafka"))), 20)
        held.pop().close()
        wait_until(lambda: finds_room(answers["kafka"], server.port_of("kafka")))
        close_all(held)


@pytest.mark.parametrize("wing, setting", [("zookeeper", "maxCnxns"), ("kafka", "max.connections"), ("redis", "maxclients")])
def test_each_protocol_has_a_cap_of_its_own(answers, wing, setting):
    with Trivet({wing: {setting: 5}}) as server:
        server.start()
        held = connect(server, wing, 5)
        late = socket.create_connection((HOST, server.port_of(wing)), timeout=20)
        said = late.recv(100)
        assert said == (b"-ERR max number of clients reached\r\n" if wing == "redis" else b"")
        held.pop().close()
        wait_until(lambda: finds_room(answers[wing], server.port_of(wing)))
        close_all(held)

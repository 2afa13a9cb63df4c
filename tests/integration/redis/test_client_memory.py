"""maxmemory-clients: what clients hold is counted, and the largest of them are closed when all hold too much."""

import contextlib
import re

import pytest
from wire import resp

KIB, MIB = 1 << 10, 1 << 20


class Clients:
    def __init__(self, server):
        self.server, self.opened = server, {}
        self.control = self.open("control")
        assert self.control.ask("CLIENT", "NO-EVICT", "ON") == ("+", "OK")

    def open(self, name):
        one = self.opened[name] = resp.Connection(self.server.port_of("redis"))
        assert one.ask("CLIENT", "SETNAME", name) == ("+", "OK")
        return one

    def send(self, name, data):
        """By a new client, which may be closed before all of it is sent."""
        one = self.open(name)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            one.socket.sendall(data)

    def announce(self, name, size):
        """Begins a command that never ends: `size` bytes of an argument."""
        self.send(name, b"*2\r\n$%d\r\n" % size + b"v" * size)

    def fields(self):
        lines = self.control.ask("CLIENT", "LIST")[1].decode().splitlines()
        rows = [dict(pair.split("=", 1) for pair in line.split(" ")) for line in lines]
        return {row["name"]: row for row in rows}

    def held(self, name):
        return int(self.fields()[name]["tot-mem"])

    def names(self):
        return sorted(self.fields().keys() - {"control"})

    def limit(self, value):
        return self.control.ask("CONFIG", "SET", "maxmemory-clients", value)

    def stat(self, field, section="stats"):
        return int(re.search(rf"\b{field}:(\d+)", self.control.ask("INFO", section)[1].decode()).group(1))


@pytest.fixture
def clients(launch):
    opened = Clients(launch("redis"))
    yield opened
    for one in opened.opened.values():
        one.close()


def test_the_largest_are_closed_until_less_is_held(clients, eventually):
    for name, size in (("small", 64 * KIB), ("middle", 256 * KIB), ("large", MIB), ("larger", 3 * MIB)):
        clients.announce(name, size)
    eventually(lambda: len(clients.names()) == 4 and all(clients.held(name) >= 64 * KIB for name in clients.names()))
    assert clients.limit(MIB) == ("+", "OK")
    assert clients.names() == ["middle", "small"]
    assert clients.stat("evicted_clients") == 2
    assert clients.limit(200 * KIB) == ("+", "OK")
    assert clients.names() == ["small"]
    assert clients.control.ask("CONFIG", "RESETSTAT") == ("+", "OK")
    assert clients.stat("evicted_clients") == 0


def test_what_a_request_announces_is_held_from_its_first_byte_on(clients, eventually):
    size = 2 * MIB
    clients.open("a").socket.sendall(b"*2\r\n$3\r\nGET\r\n$%d\r\n" % size)
    eventually(lambda: clients.held("a") > size)
    row = clients.fields()["a"]
    assert (int(row["qbuf"]), int(row["qbuf-free"])) == (0, size + 2)
    assert int(row["argv-mem"]) == len(b"*2\r\n$3\r\nGET\r\n$%d\r\n" % size)


def test_a_client_that_is_exempt_stays_and_goes_when_it_is_no_longer(clients, eventually):
    one = clients.open("a")
    assert one.ask("CLIENT", "NO-EVICT", "ON") == ("+", "OK")
    clients.announce("b", MIB)
    one.ask("MULTI")
    assert one.ask("SET", "k", b"v" * MIB) == ("+", "QUEUED")
    assert clients.limit(512 * KIB) == ("+", "OK")
    eventually(lambda: clients.names() == ["a"])
    assert int(clients.fields()["a"]["multi-mem"]) == len("SETk") + MIB
    assert one.ask("DISCARD") == ("+", "OK")
    assert one.ask("WATCH", *range(10_000)) == ("+", "OK")
    one.socket.sendall(resp.encode("CLIENT", "NO-EVICT", "OFF"))
    eventually(lambda: clients.names() == [])
    assert clients.stat("evicted_clients") == 2


def test_a_command_that_holds_too_much_does_not_run(clients, eventually):
    assert clients.limit(MIB) == ("+", "OK")
    clients.send("a", resp.encode("SET", "k", b"v" * (2 * MIB)))
    eventually(lambda: clients.names() == [])
    assert clients.control.ask("EXISTS", "k") == (":", 0)


@pytest.mark.parametrize(
    "take, give",
    [("SUBSCRIBE", "UNSUBSCRIBE"), ("PSUBSCRIBE", "PUNSUBSCRIBE"), ("SSUBSCRIBE", "SUNSUBSCRIBE"), ("WATCH", "UNWATCH"), ("CLIENT TRACKING ON BCAST", "CLIENT TRACKING OFF")],
)
def test_names_are_held(clients, eventually, take, give):
    one = clients.open("a")
    before = clients.held("a")
    words = [f"{n:06}" * 20 for n in range(300)]
    if "TRACKING" in take:
        words = [word for name in words for word in ("PREFIX", name)]
    one.ask(*take.split(), *words)
    assert clients.held("a") - before > 300 * (40 if take == "WATCH" else 140)
    one.socket.sendall(resp.encode(*give.split()))
    eventually(lambda: clients.held("a") == before)


def test_the_bound_may_be_a_share_of_maxmemory(clients, eventually):
    config = clients.control.ask
    assert config("CONFIG", "SET", "maxmemory", 16 * MIB, "maxmemory-clients", "10%") == ("+", "OK")
    assert config("CONFIG", "GET", "maxmemory-clients")[1][1] == ("$", b"10%")
    clients.announce("a", MIB)
    eventually(lambda: clients.held("a") > MIB)
    clients.announce("b", 2 * MIB)
    eventually(lambda: clients.names() == ["a"])
    assert config("CONFIG", "SET", "maxmemory", 8 * MIB) == ("+", "OK")
    assert clients.names() == []


@pytest.mark.parametrize(
    "value, error",
    [
        ("101%", "percentage argument must be less or equal to 100"), ("-1", "argument must be a memory or percent value"),
        ("-5%", "argument must be a memory or percent value"), ("%", "argument must be a memory or percent value"), ("5x", "argument must be a memory or percent value"),
    ],
)  # fmt: skip
def test_what_is_no_bound_is_refused(clients, value, error):
    assert clients.limit(value) == ("-", f"ERR CONFIG SET failed (possibly related to argument 'maxmemory-clients') - {error}")


def test_info_tells_what_clients_hold(clients, eventually):
    clients.announce("a", MIB)
    eventually(lambda: clients.stat("mem_clients_normal", "memory") > MIB)
    assert clients.stat("client_recent_max_input_buffer", "clients") >= 0

"""Little memory: a limit of the process becomes Redis' limit, and an end for want of memory says what would have helped."""

import contextlib
import os
import pathlib

import pytest

from harness import trivet
from wire.resp import Connection, encode

pytestmark = pytest.mark.trivet_only

MIB = 1 << 20
SPACE_BYTES = 300 * MIB
GROUP_BYTES = 160 * MIB
EXIT_OUT_OF_MEMORY = 71
VALUE = b"v" * 100_000


class Limited(trivet.Trivet):
    """Trivet whose process is limited before it begins."""

    def __init__(self, limit, **sections):
        super().__init__(sections)
        self.limit = limit

    def command(self):
        return ["/bin/sh", "-c", f'{self.limit} && exec "$0" "$@"', *super().command()]


@pytest.fixture
def start():
    """start(limit, **sections): the limit is a line of shell."""
    started = []

    def start_one(limit, **sections):
        started.append(Limited(limit, **sections))
        return started[-1].start()

    yield start_one
    for server in started:
        server.close()


def space(bytes_=SPACE_BYTES):
    return f"ulimit -v {bytes_ // 1024}"


@pytest.fixture
def group():
    """The shell line that puts a process into a control group of its own, and what the group may have."""
    mounts = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    paths = [line.split()[1] for line in mounts if line.split()[2] == "cgroup2"]
    paths += [line.split()[1] for line in mounts if line.split()[2] == "cgroup" and "memory" in line.split()[3].split(",")]
    name = f"trivet-test-{os.getpid()}"
    for path in map(pathlib.Path, paths):
        made = path / name
        with contextlib.suppress(OSError):
            made.mkdir()
        limit = made / ("memory.max" if (made / "memory.max").exists() else "memory.limit_in_bytes")
        if not limit.exists():
            with contextlib.suppress(OSError):
                made.rmdir()
            continue
        limit.write_text(str(GROUP_BYTES))
        yield f"echo $$ > {made}/cgroup.procs", GROUP_BYTES
        made.rmdir()
        return
    yield space(), SPACE_BYTES  # the machine has no groups, or they are not ours


def info(connection, field):
    text = connection.ask("INFO", "memory")[1].decode()
    return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)[field]


def set_until_refused(connection, value):
    for n in range(20_000):
        tag, text = connection.ask("SET", f"k{n}", value)
        if tag == "-":
            return n, text
    raise AssertionError("nothing was refused")


def check_refusal(server, limit_bytes, value=VALUE):
    connection = Connection(server.port_of("redis"))
    derived = int(info(connection, "maxmemory_derived"))
    assert limit_bytes // 3 < derived <= limit_bytes * 3 // 4
    assert f"limit_mib={derived // MIB} " in server.log_tail()
    assert connection.ask("CONFIG", "GET", "maxmemory")[1][1] == ("$", b"0")
    count, text = set_until_refused(connection, value)
    assert text == "OOM command not allowed when used memory > 'maxmemory'."
    assert derived * 0.7 < count * len(value) < derived
    assert connection.ask("DEL", "k0") == (":", 1)
    assert server.alive()


@pytest.mark.parametrize("value", [VALUE, b"v" * 2_000_000], ids=["small values", "large values"])
def test_a_limit_of_the_address_space_becomes_redis_limit(start, value):
    check_refusal(start(space()), SPACE_BYTES, value)


def test_a_control_groups_limit_becomes_redis_limit(group, start):
    """Without it the kernel would kill the server in the middle."""
    line, bytes_ = group
    check_refusal(start(line), bytes_)


@pytest.mark.parametrize("how", ["at start", "later"])
def test_a_limit_that_was_chosen_is_not_replaced(start, how):
    server = start(space(), **({"redis": {"maxmemory": "0"}} if how == "at start" else {}))
    connection = Connection(server.port_of("redis"))
    if how == "later":
        assert connection.ask("CONFIG", "SET", "maxmemory", 0) == ("+", "OK")
    assert info(connection, "maxmemory_derived") == "0"


def test_the_end_for_want_of_memory_is_explained_and_loses_nothing(start):
    server = start(space(), redis={"maxmemory": "0"})
    acknowledged = 0
    connection = Connection(server.port_of("redis"))
    with contextlib.suppress(ConnectionError):
        for n in range(20_000):
            assert connection.ask("SET", f"k{n}", VALUE) == ("+", "OK")
            acknowledged = n + 1
    assert 500 < acknowledged < 3000
    assert server.process.wait(60) == EXIT_OUT_OF_MEMORY
    tail = server.log_tail()
    assert "trivet: out of memory: " in tail and " bytes were asked for" in tail
    assert f"the process may have {SPACE_BYTES // MIB} MiB" in tail and "lower redis.maxmemory, which is 0 MiB now (no limit)," in tail
    server.limit = "true"
    server.start()
    connection = Connection(server.port_of("redis"))
    assert connection.ask("DBSIZE")[1] >= acknowledged


def test_one_value_that_does_not_fit_is_explained_too(start):
    server = start(space(), redis={"maxmemory": "0"})
    connection = Connection(server.port_of("redis"))
    connection.socket.sendall(encode("SETRANGE", "k", 400 * MIB, "x"))
    with contextlib.suppress(ConnectionError):
        connection.read()
    assert server.process.wait(60) == EXIT_OUT_OF_MEMORY
    assert "trivet: out of memory: " in server.log_tail()


def test_a_request_that_does_not_fit_costs_its_connection_alone(start):
    """What is small must be had, or the process ends; what is large may be refused, and is counted."""
    server = start(space(), redis={"maxmemory": "0"}, trivet={"input-bytes-max": "2gb"})
    greedy, other = Connection(server.port_of("redis")), Connection(server.port_of("redis"))
    assert other.ask("SET", "k", VALUE) == ("+", "OK")
    with contextlib.suppress(ConnectionError):
        greedy.socket.sendall(encode("SET", "k", b"v" * SPACE_BYTES))
        greedy.read()
        raise AssertionError("it was taken")
    assert other.ask("GET", "k") == ("$", VALUE)
    assert "closed a connection: there is no memory for its request" in server.log_tail()
    assert server.metric("trivet_connections_closed_without_memory_total") == 1
    assert server.metric("trivet_allocations_refused_total") >= 1

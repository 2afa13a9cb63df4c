"""The disk is full: each wing refuses what it cannot write in its protocol's words, answers reads, says so where it is asked,
and goes on when there is room. What was acknowledged is there afterwards, however the server ends."""

import os
import time

import pytest

from wire import jute
from wire.resp import Connection, encode

from .conftest import page

pytestmark = pytest.mark.trivet_only

MISCONF = "MISCONF Errors writing to the AOF file: No space left on device"
SYSTEM_ERROR = -1
VALUE = b"v" * 5000


def eventually(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def set_until_refused(connection):
    """How many were acknowledged, and the refusal."""
    for n in range(100_000):
        tag, text = connection.ask("SET", f"k{n}", VALUE)
        if tag == "-":
            return n, text
    raise AssertionError("the disk never filled")


def create_until_refused(session, data=VALUE):
    for n in range(100_000):
        err = session.ask(jute.CREATE, jute.create(f"/n{n}", data))[2]
        if err != 0:
            return n, err
    raise AssertionError("the disk never filled")


def is_ready(server):
    return page(server, "/readyz")[0] == 200


def check_keys(server, count):
    connection = Connection(server.port_of("redis"))
    assert connection.ask("DBSIZE")[1] >= count
    for n in (0, count - 1):
        assert connection.ask("GET", f"k{n}") == ("$", VALUE)


@pytest.mark.parametrize("fsync", ["always", "everysec"])
@pytest.mark.parametrize("end", ["kill", "stop"])
def test_redis_refuses_and_keeps_what_it_acknowledged(small_disk, start, fsync, end):
    disk = small_disk(1 << 20)
    server = start(disk, redis={"appendfsync": fsync})
    connection = Connection(server.port_of("redis"))
    assert is_ready(server)
    count, text = set_until_refused(connection)
    assert count > 100 and text == MISCONF
    assert connection.ask("GET", f"k{count - 1}") == ("$", VALUE)
    assert connection.ask("EVAL", "return redis.call('set', 'a', 'b')", 0)[1].startswith(MISCONF)
    status, troubles = page(server, "/readyz")
    assert status == 503 and "redis: aof: " in troubles and "No space left on device" in troubles
    assert 'trivet_trouble{wing="redis",what="aof"} 1' in page(server, "/metrics")[1]
    assert server.log_tail().count("trouble=aof") == 1
    if end == "kill":
        server.kill9()
    else:
        assert server.stop() == 0
    disk.grow(8 << 20)
    check_keys(server.start(), count)


def one_large_value(connection):
    connection.send("SET", "large", b"l" * (3 << 20))
    return [connection.read()]


def one_large_transaction(connection):
    commands = [("MULTI",), *[("SET", f"m{n}", b"m" * 30_000) for n in range(100)], ("EXEC",)]
    connection.socket.sendall(b"".join(encode(*command) for command in commands))
    return [connection.read() for _ in commands][-1:]


def one_large_pipeline(connection):
    connection.socket.sendall(b"".join(encode("SET", f"p{n}", b"p" * 30_000) for n in range(200)))
    return [connection.read() for _ in range(200)]


@pytest.mark.parametrize("much", [one_large_value, one_large_transaction, one_large_pipeline])
def test_more_than_the_reserve_holds_is_refused_before_it_runs(small_disk, start, much):
    disk = small_disk(4 << 20)
    server = start(disk, redis={"appendfsync": "always"})
    connection = Connection(server.port_of("redis"))
    for n in range(200):
        assert connection.ask("SET", f"k{n}", b"k" * 10_000) == ("+", "OK")
    replies = much(connection)
    assert replies[-1][0] == "-" and "MISCONF Errors writing to the AOF file: No space left on device" in replies[-1][1]
    done = replies.count(("+", "OK"))
    assert connection.ask("DBSIZE") == (":", 200 + done)
    server.kill9()
    disk.grow(32 << 20)
    assert Connection(server.start().port_of("redis")).ask("DBSIZE") == (":", 200 + done)


def test_redis_goes_on_when_there_is_room(small_disk, start):
    disk = small_disk(8 << 20)
    server = start(disk)
    connection = Connection(server.port_of("redis"))
    disk.fill()
    count, _ = set_until_refused(connection)
    disk.free()
    eventually(lambda: connection.ask("SET", "again", 1) == ("+", "OK"))
    eventually(lambda: is_ready(server))
    assert "trivet_trouble{" not in page(server, "/metrics")[1]
    assert "well again" in server.log_tail()
    server.restart(kill=True)
    check_keys(server, count)
    assert Connection(server.port_of("redis")).ask("GET", "again") == ("$", b"1")


def test_a_rewrite_that_fills_the_disk_is_given_up_for_the_clients_writes(small_disk, start):
    disk = small_disk(4 << 20)
    server = start(disk, redis={"auto-aof-rewrite-percentage": 0})
    connection = Connection(server.port_of("redis"))
    for n in range(300):
        assert connection.ask("SET", f"k{n}", os.urandom(10_000)) == ("+", "OK")
    assert connection.ask("BGREWRITEAOF")[0] == "+"
    eventually(lambda: "rewrite" in page(server, "/readyz")[1])
    assert connection.ask("SET", "k0", VALUE) == ("+", "OK")
    disk.grow(16 << 20)
    assert connection.ask("BGREWRITEAOF")[0] == "+"
    eventually(lambda: is_ready(server))


def test_zookeeper_refuses_writes_closes_sessions_and_goes_on(small_disk, start):
    disk = small_disk(8 << 20)
    server = start(disk, redis={"appendonly": "no"})
    port = server.port_of("zookeeper")
    session, other = jute.Connection(port), jute.Connection(port)
    assert other.ask(jute.CREATE, jute.create("/ephemeral", flags=jute.EPHEMERAL))[2] == 0
    disk.fill()
    count, err = create_until_refused(session)
    assert count > 0 and err == SYSTEM_ERROR
    for op, body in ((jute.SET_DATA, jute.set_data("/n0", b"x")), (jute.DELETE, jute.delete("/n0")),
                     (jute.MULTI, jute.multi([(jute.DELETE, jute.delete("/n0"))]))):  # fmt: skip
        assert session.ask(op, body)[2] == SYSTEM_ERROR
    assert session.ask(jute.GET_DATA, jute.read("/n0"))[2] == 0
    assert session.ask(jute.SYNC, jute.text("/"))[2] == 0
    newcomer = jute.Connection(port)
    assert newcomer.ask(jute.EXISTS, jute.read(f"/n{count - 1}"))[2] == 0
    assert other.ask(jute.CLOSE_SESSION)[2] == 0
    assert session.ask(jute.EXISTS, jute.read("/ephemeral"))[2] == -101
    status, troubles = page(server, "/readyz")
    assert status == 503 and "coord: disk: " in troubles
    disk.free()
    eventually(lambda: is_ready(server))
    assert session.ask(jute.CREATE, jute.create("/again"))[2] == 0
    server.restart(kill=True)
    after = jute.Connection(server.port_of("zookeeper"))
    for path in ("/again", "/n0", f"/n{count - 1}"):
        assert after.ask(jute.EXISTS, jute.read(path))[2] == 0
    assert after.ask(jute.EXISTS, jute.read(f"/n{count}"))[2] == -101


def test_a_session_that_times_out_on_a_full_disk_ends(small_disk, start):
    disk = small_disk(8 << 20)
    server = start(disk, redis={"appendonly": "no"}, zookeeper={"tickTime": 200})
    port = server.port_of("zookeeper")
    session, silent = jute.Connection(port), jute.Connection(port, timeout=400)
    assert silent.ask(jute.CREATE, jute.create("/ephemeral", flags=jute.EPHEMERAL))[2] == 0
    disk.fill()
    create_until_refused(session)
    eventually(lambda: session.ask(jute.EXISTS, jute.read("/ephemeral"))[2] == -101)


@pytest.mark.parametrize("size", [1 << 10, 900_000])
def test_a_znode_larger_than_the_reserve_does_not_end_the_server(small_disk, start, size):
    disk = small_disk(4 << 20)
    server = start(disk)
    session = jute.Connection(server.port_of("zookeeper"))
    assert create_until_refused(session, b"x" * size)[1] == SYSTEM_ERROR
    assert session.ask(jute.EXISTS, jute.read("/n0"))[2] == 0
    assert Connection(server.port_of("redis")).ask("PING") == ("+", "PONG")


def test_all_wings_on_one_full_disk_fail_apart_and_a_stop_loses_nothing(small_disk, start):
    disk = small_disk(2 << 20)
    server = start(disk)
    connection = Connection(server.port_of("redis"))
    session = jute.Connection(server.port_of("zookeeper"))
    count, _ = set_until_refused(connection)
    assert create_until_refused(session)[1] == SYSTEM_ERROR
    status, troubles = page(server, "/readyz")
    assert status == 503 and "redis: aof: " in troubles and "coord: disk: " in troubles
    check_keys(server, count)
    assert server.stop() == 0
    server.start()  # a full disk: there is still a reserve
    check_keys(server, count)
    assert page(server, "/healthz")[0] == 200

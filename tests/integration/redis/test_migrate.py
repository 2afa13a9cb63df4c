"""MIGRATE moves keys between servers of either kind: a key goes only when the other one has it, and meanwhile nobody changes it."""

import contextlib
import os
import socket
import threading
import time

import pytest
import redis

from harness.originals import Valkey
from harness.process import HOST
from harness.trivet import Trivet

pytestmark = pytest.mark.trivet_only
SERVERS = {"trivet": lambda **d: Trivet({"redis": {"enable-debug-command": "yes", **d}}), "valkey": lambda **d: Valkey(d)}


@contextlib.contextmanager
def running(kind, **directives):
    with SERVERS[kind](appendonly="no", **directives) as server:
        port = server.start().port_of("redis")
        with redis.Redis(port=port, password=directives.get("requirepass")) as one:
            yield one, port


@pytest.fixture(scope="module", params=[("trivet", "trivet"), ("trivet", "valkey"), ("valkey", "trivet")], ids="-".join)
def pair(request):
    with running(request.param[0]) as (here, _), running(request.param[1]) as (there, port):
        yield here, there, port


@pytest.fixture(autouse=True)
def empty(request):
    if "pair" in request.fixturenames:
        here, there, _ = request.getfixturevalue("pair")
        here.flushall(), there.flushall()


def migrate(one, port, key, *options, db=0, timeout=60000):
    return one.execute_command("MIGRATE", HOST, port, key, db, timeout, *options)


def fill(one):
    one.set("string", "v" * 5000)
    one.set("number", 17)
    one.rpush("list", *range(500))
    one.hset("hash", mapping={f"f{i}": i for i in range(600)})
    one.sadd("set", *range(20))
    one.zadd("zset", {f"m{i}": i / 3 for i in range(200)})
    one.xadd("stream", {"a": 1}, id="1-1")
    return [b"string", b"number", b"list", b"hash", b"set", b"zset", b"stream"]


def values(one, keys):
    return [one.execute_command("DEBUG", "DIGEST-VALUE", *keys)]


def test_a_key_goes_with_its_value_and_its_time(pair):
    here, there, port = pair
    here.set("k", "v", px=100_000)
    assert migrate(here, port, "k") == b"OK"
    assert there.get("k") == b"v" and 0 < there.pttl("k") <= 100_000
    assert not here.exists("k")
    assert migrate(here, port, "k") == b"NOKEY"


def test_many_keys_of_all_kinds_go_to_another_database_and_some_were_not_there(pair):
    here, there, port = pair
    keys = fill(here)
    before = values(here, keys)
    assert migrate(here, port, "", "KEYS", *keys, "absent", db=9) == b"OK"
    assert here.dbsize() == 0
    with redis.Redis(port=port, db=9) as nine:
        assert sorted(nine.keys()) == sorted(keys) and values(nine, keys) == before


def test_a_copy_stays(pair):
    here, there, port = pair
    keys = fill(here)
    assert migrate(here, port, "", "COPY", "KEYS", *keys) == b"OK"
    assert values(here, keys) == values(there, keys)


def test_what_is_there_is_kept_unless_it_is_to_be_replaced(pair):
    here, there, port = pair
    here.mset({"a": 1, "b": 2, "c": 3})
    there.set("b", "theirs")
    with pytest.raises(redis.ResponseError, match="^Target instance replied with error: BUSYKEY Target key name already exists"):
        migrate(here, port, "", "KEYS", "a", "b", "c")
    assert here.keys() == [b"b"] and there.mget("a", "b", "c") == [b"1", b"theirs", b"3"]
    assert migrate(here, port, "b", "REPLACE") == b"OK"
    assert here.dbsize() == 0 and there.get("b") == b"2"


def test_words_that_do_not_fit_are_refused_as_there(pair):
    here, _, port = pair
    here.set("k", "v")
    for options in (("NOSUCH",), ("AUTH",), ("AUTH2", "u"), ("KEYS", "k")):
        with pytest.raises(redis.ResponseError) as told:
            migrate(here, port, "k", *options)
        wanted = "When using MIGRATE KEYS option, the key argument must be set to the empty string"
        assert str(told.value) == (wanted if options[0] == "KEYS" else "syntax error")
    with pytest.raises(redis.ResponseError, match="not an integer"):
        here.execute_command("MIGRATE", HOST, port, "k", "x", 10)
    with pytest.raises(redis.ResponseError, match="^Target instance replied with error: ERR (invalid DB index|DB index is out of range)"):
        migrate(here, port, "k", db=99)
    assert here.get("k") == b"v"


@pytest.mark.parametrize("kind", ["trivet", "valkey"])
def test_who_asks_for_a_password_gets_it(kind):
    with running("trivet") as (here, _), running(kind, requirepass="secret") as (there, port):
        here.set("k", "v")
        for options in ((), ("AUTH", "wrong")):
            with pytest.raises(redis.ResponseError, match="^Target instance replied with error: (NOAUTH|WRONGPASS)"):
                migrate(here, port, "k", *options)
        assert here.get("k") == b"v"
        for key, options in (("a", ("AUTH", "secret")), ("b", ("AUTH2", "default", "secret"))):
            here.set(key, "v")
            assert migrate(here, port, key, *options) == b"OK" and there.get(key) == b"v"
        here.config_set("slowlog-log-slower-than", 0)
        here.execute_command("MIGRATE", HOST, port, "", 0, 10, "COPY", "AUTH2", "default", "secret", "KEYS", "absent")
        words = b" ".join(here.execute_command("SLOWLOG GET", 1)[0]["command"].split())
        assert b"secret" not in words and b"(redacted)" in words


def test_a_kept_connection_that_died_is_made_anew():
    with running("trivet") as (here, _), running("trivet") as (there, port):
        for round in range(3):
            here.set("k", round)
            assert migrate(here, port, "k", "REPLACE") == b"OK" and there.get("k") == b"%d" % round
            assert here.info("stats")["migrate_cached_sockets"] == 1
            there.client_kill_filter(_type="normal", skipme=True)


def test_nobody_there_is_an_error_and_the_key_stays():
    with running("trivet") as (here, _), socket.socket() as held:
        held.bind((HOST, 0))
        here.set("k", "v")
        with pytest.raises(redis.ResponseError, match="^IOERR error or timeout connecting to the client"):
            migrate(here, held.getsockname()[1], "k")
        with pytest.raises(redis.ResponseError, match="^IOERR error or timeout connecting to the client"):
            here.execute_command("MIGRATE", "no.such.host.invalid", 1, "k", 0, 10)
        assert here.get("k") == b"v"


class Mute:
    """A server that accepts, reads, and answers when it is told to."""

    def __init__(self):
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def test_who_never_answers_costs_the_timeout_and_no_key():
    with running("trivet") as (here, _), Mute() as mute:
        here.set("k", "v")
        with pytest.raises(redis.ResponseError, match="^IOERR error or timeout reading to target instance"):
            migrate(here, mute.port, "k", timeout=50)
        assert here.get("k") == b"v" and here.set("k", "w")


def test_meanwhile_others_read_the_key_and_those_who_would_change_it_wait():
    with running("trivet") as (here, port), Mute() as mute:
        here.mset({"k": "v", "other": 1})
        result = []
        mover = threading.Thread(target=lambda: result.append(migrate(here, mute.port, "k")))
        mover.start()
        conn, _ = mute.listener.accept()
        with conn, conn.makefile("rb") as file:
            while b"RESTORE" not in file.readline():
                pass
            writers = [redis.Redis(port=port) for _ in range(3)]
            answers = []
            commands = (("SET", "k", "late"), ("EVAL", "return redis.call('append','k','er')", 0), ("APPEND", "k", "!"))
            threads = [threading.Thread(target=lambda o=one, c=c: answers.append(o.execute_command(*c))) for one, c in zip(writers, commands)]
            for thread in threads:
                thread.start()
            for _ in range(20):
                assert here.get("k") == b"v" and here.incr("other")
            assert not answers
            conn.sendall(b"+OK\r\n+OK\r\n")
            mover.join(60)
            for thread in threads:
                thread.join(60)
        assert result == [b"OK"] and len(answers) == 3 and here.exists("k")


def test_a_transaction_cannot_wait_for_another_server():
    with running("trivet") as (here, port):
        here.set("k", "v")
        with pytest.raises(redis.ResponseError, match="which a transaction or a script cannot"):
            here.pipeline().execute_command("MIGRATE", HOST, port, "k", 3, 100).execute()
        assert here.get("k") == b"v"


def test_what_went_does_not_come_back_with_the_append_only_file(launch):
    here = launch("redis", appendfsync="always", **{"enable-debug-command": "yes"})
    with redis.Redis(port=here.port_of("redis")) as one, running("trivet") as (there, port):
        one.mset({f"k{i}": "x" * 100_000 for i in range(60)})
        assert migrate(one, port, "", "KEYS", *(f"k{i}" for i in range(50))) == b"OK"
        assert there.dbsize() == 50
        one.execute_command("DEBUG", "LOADAOF")
        assert sorted(one.keys()) == sorted(b"k%d" % i for i in range(50, 60))


def test_a_key_whose_time_is_over_before_its_turn_is_left_out():
    """The other server reads nothing until then."""
    with running("trivet") as (here, port), Mute() as mute:
        big = [f"big{i}" for i in range(30)]
        here.mset({key: os.urandom(1_000_000) for key in big})  # what does not compress
        here.set("short", "v", px=300)
        result = []
        mover = threading.Thread(target=lambda: result.append(migrate(here, mute.port, "", "KEYS", *big, "short")))
        mover.start()
        conn, _ = mute.listener.accept()
        with conn, conn.makefile("rb") as file:
            time.sleep(0.4)
            for _ in range(1 + len(big)):  # SELECT, and each RESTORE
                for _ in range(int(file.readline()[1:])):
                    file.read(int(file.readline()[1:]) + 2)
                conn.sendall(b"+OK\r\n")
            mover.join(60)
        assert result == [b"OK"] and here.dbsize() == 0

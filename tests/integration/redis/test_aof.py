"""What was written is there after a restart: the append-only file, its rewrite, and its three policies."""

import threading
import time

import pytest
import redis


def client(server, **options):
    return redis.Redis(host=server.host, port=server.port_of("redis"), decode_responses=True, **options)


def write_one_of_each(r):
    r.set("string", "v")
    r.set("number", 10)
    r.incrby("number", 5)
    r.rpush("list", *range(300))
    r.lrem("list", 1, "7")
    r.hset("hash", mapping={f"f{n}": "x" * n for n in range(100)})
    r.hincrbyfloat("hash", "float", 1.25)
    r.sadd("ints", *range(20))
    r.sadd("set", *[f"m{n}" for n in range(300)])
    r.spop("set", 10)
    r.zadd("zset", {f"m{n}": n / 3 for n in range(300)})
    r.zpopmin("zset", 2)
    r.set("expires", "v", ex=1000)
    r.getex("string", ex=5000)
    r.set("gone", "v", px=1)
    time.sleep(0.01)  # else it may be seen before the restart and not after it
    r.execute_command("SELECT", 9)
    r.set("in nine", "v")
    r.execute_command("SELECT", 0)
    with r.pipeline(transaction=True) as pipe:
        pipe.rename("number", "renamed").lpush("pushed", "a").execute()
    r.getdel("pushed") if r.type("pushed") == "string" else r.delete("pushed")


def contents(r):
    """Everything a client can see, expiry times included."""
    seen = {}
    for key in sorted(r.keys("*")):
        kind = r.type(key)
        value = {
            "string": lambda: r.get(key),
            "list": lambda: r.lrange(key, 0, -1),
            "hash": lambda: r.hgetall(key),
            "set": lambda: r.smembers(key),
            "zset": lambda: [tuple(pair) for pair in r.zrange(key, 0, -1, withscores=True)],
        }[kind]()
        seen[key] = (kind, value, r.pexpiretime(key))
    return seen


@pytest.fixture(params=["stop", "kill"])
def how(request):
    return request.param


def restart(server, how):
    server.restart(kill=how == "kill")


def test_everything_is_there_after_a_restart(launch, how):
    server = launch("redis", appendonly="yes", appendfsync="always")
    r = client(server, single_connection_client=True)
    write_one_of_each(r)
    before = contents(r)
    assert "gone" not in before or before.pop("gone")
    restart(server, how)
    after = client(server)
    assert contents(after) == before
    assert client(server, db=9).get("in nine") == "v"


def wait_for_rewrite(r, eventually):
    eventually(lambda: r.info("persistence")["aof_rewrite_in_progress"] == 0 and not r.info("persistence").get("aof_rewrite_scheduled"), 60)


def test_a_rewrite_while_writes_go_on_loses_nothing(launch, eventually, how):
    server = launch("redis", appendonly="yes", appendfsync="always")
    r = client(server, single_connection_client=True)
    write_one_of_each(r)
    stop, counter = threading.Event(), [0]

    def keep_writing():
        other = client(server)
        while not stop.is_set():
            counter[0] = other.incr("counter")

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        for _ in range(3):
            r.bgrewriteaof()
            wait_for_rewrite(r, eventually)
    finally:
        stop.set()
        writer.join()
    r.delete("gone")
    before = contents(r)
    assert int(before["counter"][1]) == counter[0] > 0
    restart(server, how)
    assert contents(client(server)) == before
    assert client(server, db=9).get("in nine") == "v"


def test_a_torn_last_command_is_cut_off_and_the_rest_kept(launch):
    server = launch("redis", appendonly="yes", appendfsync="always")
    r = client(server)
    for n in range(100):
        r.set(f"k{n}", n)
    server.kill9()
    incremental = sorted(server.data.rglob("*.incr.aof"))[-1]
    data = incremental.read_bytes()
    incremental.write_bytes(data[:-3])
    server.start()
    assert set(client(server).keys("*")) == {f"k{n}" for n in range(99)}


@pytest.mark.parametrize("policy", ["everysec", "no"])
def test_the_lazier_policies_survive_kill_as_the_kernel_has_the_bytes(launch, policy):
    server = launch("redis", appendonly="yes", appendfsync=policy)
    client(server).set("k", "v")
    server.restart(kill=True)
    assert client(server).get("k") == "v"


def test_without_the_file_nothing_stays(launch):
    server = launch("redis", appendonly="no")
    client(server).set("k", "v")
    server.restart(kill=True)
    assert client(server).get("k") is None


def test_the_manifest_names_the_files(launch):
    server = launch("redis", appendonly="yes")
    client(server).set("k", "v")
    manifest = next(server.data.rglob("appendonly.aof.manifest")).read_text()
    assert "type b" in manifest and "type i" in manifest
    for line in manifest.splitlines():
        name = line.split()[1]
        assert list(server.data.rglob(name)), name

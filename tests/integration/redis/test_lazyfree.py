"""What is large goes from the keyspace at once, and its memory a little later: UNLINK, the lazyfree-lazy-* settings, FLUSHALL."""

import pytest

from .conftest import client

pytestmark = pytest.mark.trivet_only

LARGE = 2_000  # elements: more than are freed at once, and than one step frees


def fill(r, key, kind, count):
    numbers = range(count)
    pipe = r.pipeline(transaction=False)
    if kind == "set":
        pipe.sadd(key, *(f"m{n}" for n in numbers))
    elif kind == "intset":
        pipe.sadd(key, *numbers)
    elif kind == "hash":
        pipe.hset(key, mapping={f"f{n}": n for n in numbers})
    elif kind == "timed hash":
        pipe.hset(key, mapping={f"f{n}": n for n in numbers})
        pipe.execute_command("HEXPIRE", key, 1000, "FIELDS", 2, "f1", "f2")
    elif kind == "zset":
        pipe.zadd(key, {f"m{n}": n for n in numbers})
    elif kind == "list":
        pipe.rpush(key, *(b"x" * 6000 for _ in numbers))
    elif kind == "stream":
        for n in numbers:
            pipe.xadd(key, {"f": "v" * 100}, id=f"{n + 1}-0")
        pipe.xgroup_create(key, "g", id="0")
        pipe.xreadgroup("g", "alice", {key: ">"}, count=count)
    pipe.execute()


KINDS = ["set", "hash", "timed hash", "zset", "list", "stream"]


@pytest.fixture(scope="module")
def server():
    from harness.trivet import Trivet

    with Trivet({"redis": {"appendonly": "no"}}) as one:
        yield one.start()


@pytest.fixture
def r(server, eventually):
    one = client(server)
    one.execute_command("FLUSHALL", "SYNC")
    eventually(lambda: objects(one)[0] == 0)  # of the test before
    one.config_resetstat()
    for name in ("user-del", "server-del", "expire", "eviction", "user-flush"):
        one.config_set(f"lazyfree-lazy-{name}", "yes")
    yield one
    one.close()


def objects(r):
    memory = r.info("memory")
    return memory["lazyfree_pending_objects"], memory["lazyfreed_objects"]


@pytest.fixture
def freed(r, eventually):
    """freed(n): nothing is pending any more, and so many objects were freed later."""

    def wait(count):
        eventually(lambda: objects(r)[0] == 0)
        assert objects(r) == (0, count)

    return wait


@pytest.mark.parametrize("kind", KINDS)
def test_every_large_type_goes_at_once_and_is_freed_later(r, freed, kind):
    fill(r, "k", kind, LARGE)
    assert r.unlink("k", "nothing") == 1
    assert r.exists("k") == 0 and r.dbsize() == 0
    freed(1)
    fill(r, "k", kind, 3)  # the name is free
    assert r.exists("k") == 1


def test_what_is_small_or_of_one_piece_is_freed_at_once(r, freed):
    fill(r, "small", "set", 64)
    fill(r, "packed", "intset", 400)
    fill(r, "short", "hash", 50)
    r.set("string", b"x" * 1_000_000)
    assert r.unlink("small", "packed", "short", "string") == 4
    freed(0)
    fill(r, "large", "set", 129)  # no longer packed
    r.unlink("large")
    freed(1)


def test_the_settings_say_what_is_freed_later(r, freed):
    later = 0
    for value in ("no", "yes"):
        r.config_set("lazyfree-lazy-user-del", value)
        r.config_set("lazyfree-lazy-server-del", value)
        r.execute_command("FLUSHALL", "SYNC")
        fill(r, "a", "set", LARGE)
        r.delete("a")
        fill(r, "b", "zset", LARGE)
        r.set("b", "a string")
        fill(r, "c", "hash", LARGE)
        fill(r, "d", "set", LARGE)
        r.rename("b", "d")
        later += 3 if value == "yes" else 0
        freed(later)
        assert r.get("d") == "a string" and r.hlen("c") == LARGE


def test_what_expires_is_freed_by_its_setting(r, freed, eventually):
    for value, count in (("no", 0), ("yes", 1)):
        r.config_set("lazyfree-lazy-expire", value)
        fill(r, "e", "hash", LARGE)
        r.pexpire("e", 1)
        eventually(lambda: r.exists("e") == 0)
        freed(count)


def test_a_flush_empties_at_once_and_counts_each_key(r, freed):
    pipe = r.pipeline(transaction=False)
    for n in range(5_000):
        pipe.set(f"k{n}", n)
    pipe.execute()
    fill(r, "large", "set", LARGE)
    r.flushall(asynchronous=True)
    assert r.dbsize() == 0
    fill(r, "large", "set", 3)
    assert r.smembers("large") == {"m0", "m1", "m2"}
    freed(5_001)
    r.flushdb()
    freed(5_002)
    r.set("a", 1)
    r.execute_command("FLUSHALL", "SYNC")
    r.config_set("lazyfree-lazy-user-flush", "no")
    r.set("a", 1)
    r.flushall()
    freed(5_002)


def test_its_memory_comes_back(r, eventually):
    used = r.info("memory")["used_memory"]
    for n in range(20):
        fill(r, f"z{n}", "zset", 10_000)
    grown = r.info("memory")["used_memory"] - used
    r.unlink(*(f"z{n}" for n in range(20)))
    eventually(lambda: r.info("memory")["used_memory"] - used < grown / 10)


def test_what_waits_to_be_freed_drives_nothing_out(r, freed):
    """Under a limit that the large value alone had reached, the keys that come when it has gone all stay."""
    fill(r, "large", "set", 200_000)
    limit = r.info("memory")["used_memory"] + 2_000_000
    r.config_set("maxmemory-policy", "allkeys-lru")
    r.config_set("maxmemory", limit)
    try:
        pipe = r.pipeline(transaction=False)
        pipe.unlink("large")
        for n in range(20_000):
            pipe.set(f"k{n}", "v" * 50)
        pipe.execute()
        assert r.dbsize() == 20_000 and r.info("stats")["evicted_keys"] == 0
    finally:
        r.config_set("maxmemory", 0)
        r.config_set("maxmemory-policy", "noeviction")
    freed(1)

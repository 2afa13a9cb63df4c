"""maxmemory: what counts, what is driven out and in what steps. What waits for the disk or the outbox does not count."""

import time

import pytest

from wire.resp import Connection, encode

KEYS_IN_BATCH = 50
KIB, MIB = 1 << 10, 1 << 20


class Filler:
    """Sets new keys in batches, and sees after each how many were driven out meanwhile."""

    def __init__(self, server, value=b"x" * 16):
        self.c = Connection(server.port_of("redis"))
        self.value, self.next_key = value, 0
        self.evicted = self.evicted_at_once = 0

    def info(self, section, field):
        text = self.c.ask("INFO", section)[1].decode()
        return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)[field]

    def keys(self):
        return self.c.ask("DBSIZE")[1]

    def used_bytes(self):
        return int(self.info("memory", "used_memory"))

    def limit(self, extra_bytes, policy="allkeys-random"):
        assert self.c.ask("CONFIG", "SET", "maxmemory-policy", policy) == ("+", "OK")
        assert self.c.ask("CONFIG", "SET", "maxmemory", self.used_bytes() + extra_bytes) == ("+", "OK")

    def commands(self, count):
        first, self.next_key = self.next_key, self.next_key + count
        return b"".join(encode("SET", b"k:%012d" % n, self.value) for n in range(first, first + count))

    def fill(self, count):
        """Any number of keys, in large batches."""
        while count > 0:
            batch = min(count, 1000)
            self.c.socket.sendall(self.commands(batch))
            for _ in range(batch):
                assert self.c.read() == ("+", "OK")
            count -= batch

    def add_batch(self):
        self.c.socket.sendall(self.commands(KEYS_IN_BATCH) + encode("INFO", "stats"))
        for _ in range(KEYS_IN_BATCH):
            assert self.c.read() == ("+", "OK")
        evicted = int(self.c.read()[1].split(b"evicted_keys:")[1].split(b"\r")[0])
        self.evicted_at_once = max(self.evicted_at_once, evicted - self.evicted)
        self.evicted = evicted


@pytest.mark.parametrize("by_hand", [True, False], ids=["by hand", "automatic"])
def test_a_rewrite_at_maxmemory_drives_out_no_more_than_without(launch, eventually, by_hand):
    """What the rewrite must still write of keys that went takes more memory than they did."""
    automatic = {} if by_hand else {"auto-aof-rewrite-min-size": "1mb"}
    filler = Filler(launch("redis", **automatic))
    filler.fill(60_000)
    filler.limit(KIB)
    keys = filler.keys()
    for _ in range(4):
        if by_hand:
            filler.c.ask("BGREWRITEAOF")  # refused while the last one still waits for the disk
        filler.fill(20_000)
        assert filler.keys() > keys * 0.9
    eventually(lambda: int(filler.info("persistence", "aof_rewrites")) > 0)
    assert int(filler.info("stats", "evicted_keys")) > 60_000


def test_a_table_that_would_pass_maxmemory_does_not_grow(launch):
    filler = Filler(launch("redis"), value=b"x" * 100)
    filler.fill(126_000)  # two thousand more and the table doubles, which takes a MiB: as much as 8,000 keys
    filler.limit(200 * KIB)
    for _ in range(200):
        filler.add_batch()
    assert filler.evicted > 0
    assert filler.keys() > 126_000 - 6000  # a table that had grown would have cost more for as long as it is there


def test_a_table_that_must_grow_at_maxmemory_drives_keys_out_in_small_steps(launch):
    """Large values give way to small ones, so that many more keys come than the table was made for."""
    filler = Filler(launch("redis"), value=b"x" * 1000)
    filler.fill(20_000)
    filler.limit(KIB)
    filler.value = b"x"
    for _ in range(2400):
        filler.add_batch()
    assert filler.keys() > 100_000
    assert 0 < filler.evicted_at_once < 10 * KEYS_IN_BATCH


def test_one_call_drives_keys_out_for_a_limited_time_and_a_timer_goes_on(launch, eventually):
    server = launch("redis")
    filler = Filler(server)
    filler.fill(50_000)
    filler.limit(0)
    c = filler.c
    assert c.ask("CONFIG", "SET", "maxmemory-eviction-tenacity", 0) == ("+", "OK")
    c.socket.sendall(encode("CONFIG", "SET", "maxmemory", MIB) + encode("INFO", "stats") + encode("SET", "a", "b"))
    assert c.read() == ("+", "OK")
    assert 0 < int(c.read()[1].split(b"evicted_keys:")[1].split(b"\r")[0]) <= 100
    assert c.read() == ("+", "OK")  # it is not refused while there is something to drive out
    eventually(lambda: filler.keys() < 25_000)


def test_a_blind_policy_takes_turns_over_the_databases(launch, eventually):
    f = Filler(launch("redis"), b"x" * 1000)
    for db in (0, 1):
        assert f.c.ask("SELECT", db) == ("+", "OK")
        f.fill(2000)
    f.limit(-MIB)
    eventually(lambda: int(f.info("stats", "evicted_keys")) >= 400)
    keyspace = f.c.ask("INFO", "keyspace")[1].decode()
    left = [int(keyspace.split(f"db{db}:keys=")[1].split(",")[0]) for db in (0, 1)]
    assert max(left) < 2000 and abs(left[0] - left[1]) <= 2, left


def test_tenacity_is_a_setting(redis_server):
    c = Connection(redis_server.port_of("redis"))
    assert c.ask("CONFIG", "GET", "maxmemory-eviction-tenacity")[1] == [("$", b"maxmemory-eviction-tenacity"), ("$", b"10")]
    assert c.ask("CONFIG", "SET", "maxmemory-eviction-tenacity", 101)[0] == "-"


@pytest.mark.trivet_only
def test_what_waits_in_the_outbox_drives_no_key_out(launch):
    filler = Filler(launch("redis"))
    filler.fill(20_000)
    filler.limit(4 * MIB)
    later_ms = int(time.time() * 1000) + 3_600_000
    for _ in range(40):
        assert filler.c.ask("KAFKA.PRODUCE", "t", "AT", later_ms, b"v" * (MIB // 2))[0] != "-"
    filler.fill(100)
    assert filler.keys() == 20_100


def test_a_heap_that_grows_asks_for_huge_pages(launch):
    server = launch("redis")
    filler = Filler(server)
    with open("/sys/kernel/mm/transparent_hugepage/enabled") as modes, open(f"/proc/{server.pid}/maps") as maps:
        given = "[never]" not in modes.read() and "libjemalloc" in maps.read()
    assert filler.info("memory", "mem_huge_pages") == ("advised" if given else "none")
    filler.fill(200_000)
    advised = int(filler.info("memory", "mem_huge_pages_advised"))
    assert advised >= 4 * MIB if given else advised == 0

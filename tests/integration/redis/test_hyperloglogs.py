"""HyperLogLogs: estimates, and that each byte of them is there after a restart."""

import pytest
from wire import resp


@pytest.mark.parametrize("rewrite", [False, True], ids=["log", "rewritten"])
def test_every_byte_is_there_after_a_restart(launch, eventually, rewrite):
    server = launch("redis", appendonly="yes", appendfsync="always")
    one = resp.Connection(server.port_of("redis"))
    for count in (0, 1, 50, 5000):
        one.ask("PFADD", f"h{count}", *range(count))
    one.ask("PFCOUNT", "h50")  # keeps its estimate in the bytes
    one.ask("PFMERGE", "all", "h1", "h50", "h5000")
    one.ask("PFDEBUG", "TODENSE", "h1")
    if rewrite:
        one.ask("BGREWRITEAOF")
        eventually(lambda: b"aof_rewrite_in_progress:0" in one.ask("INFO", "persistence")[1], 30)
    keys = ["h0", "h1", "h50", "h5000", "all"]
    before = [one.ask("GET", key) for key in keys]
    server.restart(kill=True)
    one = resp.Connection(server.port_of("redis"))
    assert [one.ask("GET", key) for key in keys] == before


def test_estimates_are_near_the_truth(r):
    for count in (10, 1000, 100_000):
        r.delete("h")
        for start in range(0, count, 5000):
            r.pfadd("h", *range(start, min(start + 5000, count)))
        assert abs(r.pfcount("h") - count) <= max(1, count // 25)


def test_words_and_vectors_of_the_processor_estimate_alike(r):
    r.pfadd("a", *range(5000))
    r.pfadd("b", *range(3000, 9000))
    seen = []
    for switch in ("OFF", "ON"):
        r.execute_command("PFDEBUG", "SIMD", switch)
        r.pfmerge("c", "a", "b")
        seen.append((r.pfcount("a", "b"), r.pfcount("c"), r.execute_command("PFDEBUG", "GETREG", "c")))
    assert seen[0] == seen[1]


def test_the_self_test_passes(r):
    assert r.execute_command("PFSELFTEST") in (b"OK", "OK")


def test_a_count_is_a_change_for_those_who_watch(r):
    r.pfadd("h", "a")
    with r.pipeline() as pipe:
        pipe.watch("h")
        r.pfcount("h")
        pipe.multi()
        pipe.ping()
        with pytest.raises(Exception, match="WATCH|changed|Watched"):
            pipe.execute()

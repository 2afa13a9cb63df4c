"""Redisson's locks, maps, topics, queues and limiters, from Java: the checks are in tests/clients/java/redis."""

import shutil

import pytest
from harness import java

CHECKS = [
    "one at a time is in a lock, and may enter twice",
    "a lease ends by itself",
    "who waits for a lock is woken when it is free",
    "fair locks, fenced locks, locks over several",
    "readers share, a writer is alone",
    "semaphores, permits and latches",
    "a rate limiter gives no more than its rate",
    "an entry of a map has a time of its own",
    "a local cache learns of others' changes",
    "buckets compare and set; batches and transactions are whole",
    "sets, scores, places, bits",
    "a topic tells all who listen, by name and by pattern",
    "a reliable topic keeps what is told",
    "what is delayed comes later, in the order of its time",
    "blocking queues wake who waits",
    "streams are read in groups and acknowledged",
    "scripts are cached by their sum",
    "a lock is prolonged for as long as its holder lives",
]


@pytest.fixture(scope="module")
def output(shared):
    if not shutil.which("java") or not list((java.JARS / "redis").glob("redisson-checks*.jar")):
        pytest.skip("no Redisson: run tools/install test")
    server = shared.of("redis")
    address = f"{server.host}:{server.port_of('redis')}"
    return java.run("redis", "trivet.RedissonChecks", address, seconds=300, check=False).splitlines()


@pytest.mark.parametrize("name", CHECKS)
def test_redisson(output, name):
    told = [line for line in output if line.endswith(f" {name}") or f" {name}:" in line]
    assert told == [f"ok {name}"], told or output[-20:]


def test_redisson_ran_no_check_that_is_not_listed_here(output):
    assert {line[3:] for line in output if line.startswith("ok ")} <= set(CHECKS)

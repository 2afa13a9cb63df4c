"""Together: loads of Redis, Kafka and ZooKeeper side by side on one server, as fast as each goes, against another build of
Trivet (--against PROGRAM), or else against the same one with all on one reactor.

What counts is how much all three get done while all three run: each load's own rate, and their mean ratio. The loads come from
programs that cost little themselves; how many cores they and the server take is shown, because on two cores a server that
could use both has only what they leave.
"""

import os
import resource
import subprocess
import threading
import time

import program
import table
from harness.trivet import Trivet
from kafka_load import new_topic

SECONDS = 6
LOADS = ("Redis SET P=16, per second", "Kafka produce 1000 B, MB per second", "ZooKeeper set, 512 in flight, per second")
PIPELINE, CONNECTIONS = 16, 8
BATCH_RECORDS, RECORD_BYTES, BATCHES = 64, 1000, 4_000


class Build(Trivet):
    """A server of the given program (None: the one under test)."""

    def __init__(self, program=None, args=()):
        super().__init__({"redis": {"appendonly": "yes", "appendfsync": "everysec"}}, args=args)
        self.program = program

    def command(self):
        command = super().command()
        return [str(self.program or command[0]), *command[1:]]


def repeated(seconds, once):
    """How many a second `once`, which returns how many it did, gets done; it is short against the whole."""
    begun, count = time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        count += once()
    return count / (time.monotonic() - begun)


def redis_rate(server, seconds, count=100_000):
    command = ["redis-benchmark", "-h", server.host, "-p", server.port_of("redis"), "-c", CONNECTIONS, "-P", PIPELINE,
               "-n", count, "-r", 100_000, "-q", "SET", "key:__rand_int__", "v" * 64]  # fmt: skip

    def once():
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
        return count

    return repeated(seconds, once)


def kafka_rate(server, generator, seconds):
    """In MB."""
    command = [generator, server.host, server.port_of("kafka"), new_topic(server), 2, 2, BATCHES, BATCH_RECORDS, RECORD_BYTES]

    def once():
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
        return BATCHES * BATCH_RECORDS * RECORD_BYTES / 1e6

    return repeated(seconds, once)


def zookeeper_rate(server, generator, seconds, count=20_000):
    command = [generator, server.host, server.port_of("zookeeper"), "set", 8, 64, count, 128]

    def once():
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
        return count

    return repeated(seconds, once)


def children_cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def together(server, generators, seconds):
    """The rates of LOADS while all of them run; the cores that the server and the loads took meanwhile."""
    rates = [0.0] * len(LOADS)
    calls = [lambda: redis_rate(server, seconds), lambda: kafka_rate(server, generators["kafkaload"], seconds),
             lambda: zookeeper_rate(server, generators["zkload"], seconds)]  # fmt: skip

    def run(index):
        rates[index] = calls[index]()

    begun, own, others = time.monotonic(), server.cpu_seconds(), children_cpu_seconds()
    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begun
    return rates, (server.cpu_seconds() - own) / took, (children_cpu_seconds() - others) / took


def measure(options):
    generators = {name: program.build(name) for name in ("kafkaload", "zkload")}
    other = Build(options.against) if options.against else Build(args=["--reactors", "1"])
    servers = [other, Build()]
    names = [options.against or "one reactor", "three reactors"]
    yield from table.header(f"Three loads side by side on one server, {os.cpu_count()} cores", names, "ratio")
    try:
        for server in servers:
            server.start()
        found = [[together(server, generators, SECONDS * options.scale) for server in servers] for _ in range(options.rounds)]
        yield from rows(found)
    finally:
        for server in servers:
            server.close()


def rows(found):
    """`found`: in each round, for each server, what together() returned."""
    sides = list(zip(*found, strict=True))
    loads = [[[rates[load] for rates, _, _ in side] for side in sides] for load in range(len(LOADS))]
    for label, samples in zip(LOADS, loads, strict=True):
        yield table.row(label, samples)
    total = [[sum(rates) for rates in zip(*(shares(load, index) for load in loads), strict=True)] for index in (0, 1)]
    yield table.row("all together, in shares of the first", total)
    yield table.row("the server's cores", [[own for _, own, _ in side] for side in sides])
    yield table.row("the loads' cores", [[others for _, _, others in side] for side in sides])
    spent = [[rate / own for rate, (_, own, _) in zip(rates, side, strict=True)] for rates, side in zip(total, sides, strict=True)]
    yield table.row("all together per CPU-second of the server", spent)


def shares(samples, index):
    """Of one load, in parts of what the first server's median is; a third each."""
    median = sorted(samples[0])[len(samples[0]) // 2]
    return [rate / max(median, 1e-9) / len(LOADS) for rate in samples[index]]

"""Together: loads of Redis, Kafka and ZooKeeper side by side on one server, as fast as each goes, against another build of
Trivet (--against PROGRAM), or else against the same one with all on one reactor.

What counts is how much all three get done while all three run: each load's own rate, and their mean ratio.
"""

import multiprocessing
import os
import subprocess
import threading
import time

import program
import table
from confluent_kafka import Producer
from harness.trivet import Trivet
from kafka_load import bootstrap, new_topic

SECONDS = 6
LOADS = ("Redis SET P=16, per second", "Kafka produce 1000 B, MB per second", "ZooKeeper set, 64 in flight, per second")
PIPELINE, CONNECTIONS = 16, 8
RECORD_BYTES = 1000


class Build(Trivet):
    """A server of the given program (None: the one under test)."""

    def __init__(self, program=None, args=()):
        super().__init__({"redis": {"appendonly": "yes", "appendfsync": "everysec"}}, args=args)
        self.program = program

    def command(self):
        command = super().command()
        return [str(self.program or command[0]), *command[1:]]


def produce_until(address, topic, deadline, done):
    """In a process of its own: the bytes acknowledged by the deadline."""
    acknowledged = 0

    def on_report(error, message):
        nonlocal acknowledged
        acknowledged += 0 if error or time.monotonic() > deadline else RECORD_BYTES

    producer = Producer({"bootstrap.servers": address, "linger.ms": 5, "acks": "all", "batch.num.messages": 10_000})
    value = os.urandom(RECORD_BYTES // 2).hex()
    while time.monotonic() < deadline:
        try:
            producer.produce(topic, value, on_delivery=on_report)
        except BufferError:
            producer.poll(0.01)
        producer.poll(0)
    producer.flush(10)
    done.put(acknowledged)


def kafka_rate(server, seconds):
    done = multiprocessing.Queue()
    what = (bootstrap(server), new_topic(server), time.monotonic() + seconds, done)
    child = multiprocessing.Process(target=produce_until, args=what)
    child.start()
    acknowledged = done.get()
    child.join()
    return acknowledged / 1e6 / seconds


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


def zookeeper_rate(server, generator, seconds, count=5_000):
    command = [generator, server.host, server.port_of("zookeeper"), "set", 8, 8, count, 128]

    def once():
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
        return count

    return repeated(seconds, once)


def together(server, generator, seconds):
    """The rates of LOADS while all of them run, and the server's CPU-seconds."""
    rates = [0.0] * len(LOADS)
    calls = [lambda: redis_rate(server, seconds), lambda: kafka_rate(server, seconds),
             lambda: zookeeper_rate(server, generator, seconds)]  # fmt: skip

    def run(index):
        rates[index] = calls[index]()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return rates


def measure(options):
    generator = program.build("zkload")
    other = Build(options.against) if options.against else Build(args=["--reactors", "1"])
    servers = [other, Build()]
    names = [options.against or "one reactor", "three reactors"]
    yield from table.header("Three loads side by side on one server", names, "ratio")
    try:
        for server in servers:
            server.start()
        found = [[[] for _ in servers] for _ in LOADS]
        for _ in range(options.rounds):
            for index, server in enumerate(servers):
                for load, rate in zip(found, together(server, generator, SECONDS * options.scale), strict=True):
                    load[index].append(rate)
        for label, samples in zip(LOADS, found, strict=True):
            yield table.row(label, samples)
        total = [[sum(rates) for rates in zip(*(shares(load, index) for load in found), strict=True)] for index in (0, 1)]
        yield table.row("all together, in shares of the first", total)
    finally:
        for server in servers:
            server.close()


def shares(samples, index):
    """Of one load, in parts of what the first server's median is; a third each."""
    median = sorted(samples[0])[len(samples[0]) // 2]
    return [rate / max(median, 1e-9) / len(LOADS) for rate in samples[index]]

"""SET NX and a produce: one step of Trivet against the two steps of a Redis and a Kafka, with equally many clients.

Both sides promise the same when a process dies: an append-only file that is synced every second, records in the page cache,
acks=all. How outbox_load.c sends is said there. Its own CPU is in the last table, to show that it is not what is measured.
"""

import statistics
import subprocess

import program
import table
from harness.originals import Kafka, Valkey
from harness.trivet import Trivet
from kafka_load import JVM, new_topic
from redis_load import name_of

CLIENTS = {1: 10_000, 16: 100_000, 64: 200_000}  # and how many steps a run
AOF = {"appendonly": "yes", "appendfsync": "everysec"}
KAFKA_NAME = "Kafka 4.4.0"


class Pair:
    """A Redis and a Kafka that together do what is measured."""

    way = "pair"

    def __init__(self):
        self.redis, self.kafka = Valkey(dict(AOF), program="redis-server"), Kafka(jvm=JVM)
        self.parts = [self.redis, self.kafka]


class OneStep:
    def __init__(self, server, way):
        self.redis = self.kafka = server
        self.parts = [server]
        self.way = way


def load(generator, side, clients, count):
    """(steps per CPU-second of the servers, per second, p50 and p99 in µs, the generator's cores)"""
    ports = side.redis.port_of("redis"), side.kafka.port_of("kafka")
    command = [generator, side.way, *ports, new_topic(side.kafka), clients, count]
    before = sum(part.cpu_seconds() for part in side.parts)
    done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    spent = max(sum(part.cpu_seconds() for part in side.parts) - before, 0.01)
    rate, p50, p99, own = map(float, done.stdout.split())
    return count / spent, rate, p50, p99, own / (count / rate)


def medians(generator, sides, clients, count, rounds):
    """For each side the median of each figure of load(), the sides taking turns."""
    samples = [[load(generator, side, clients, count) for side in sides] for _ in range(rounds)]
    return [[statistics.median(figures) for figures in zip(*side, strict=True)] for side in zip(*samples, strict=True)]


def measure(options):
    generator = program.build("outbox_load", "-lrdkafka")
    pair, trivet = Pair(), Trivet({"redis": dict(AOF)})
    sides = {f"{name_of('redis-server')} and {KAFKA_NAME}": pair}
    if not options.only_original:
        sides |= {"Trivet, ONCE": OneStep(trivet, "once"), "Trivet, MULTI": OneStep(trivet, "multi")}
    servers = dict.fromkeys(part for side in sides.values() for part in side.parts)
    try:
        for server in servers:
            server.start()
        load(generator, pair, max(CLIENTS), int(CLIENTS[max(CLIENTS)] * options.scale))  # warms the JVM up
        found = {}
        for clients, count in CLIENTS.items():
            count = int(count * options.scale)
            found[f"{clients} in flight"] = medians(generator, sides.values(), clients, count, options.rounds)
        yield from tables(list(sides), found)
    finally:
        for server in servers:
            server.close()


def tables(names, found):
    with_ratios = [names[0], *[column for name in names[1:] for column in (name, "ratio")]]
    for title, figure in {"steps per CPU-second of the servers": 0, "steps per second": 1}.items():
        yield from table.header(f"SET NX + produce, {title}", with_ratios)
        for label, sides in found.items():
            yield row(label, [side[figure] for side in sides])
    yield from table.header("SET NX + produce, µs (p50 / p99); the load generator's cores", names)
    for label, sides in found.items():
        cells = [f"{p50:.0f} / {p99:.0f}; {cores:.2f}" for _, _, p50, p99, cores in sides]
        yield "| " + " | ".join([label, *cells]) + " |"


def row(label, values):
    """Each of Trivet's columns followed by its ratio to the first."""
    cells = [table.count(values[0])]
    for value in values[1:]:
        cells += [table.count(value), f"{value / values[0]:.1f}"]
    return "| " + " | ".join([label, *cells]) + " |"

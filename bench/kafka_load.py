"""Kafka: produce and consume with librdkafka, MB per CPU-second of the broker, and end-to-end latency."""

import random
import statistics
import time
import uuid

import table
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from harness.originals import Kafka
from harness.trivet import Trivet

SIZES = {100: 1_500_000, 1000: 400_000}
CODECS = ("lz4", "zstd")  # of the larger records: their batches are opened and checked, as the original does
VALUES = 2000
LATENCY_MESSAGES = 2000
JVM = ("-Xms1g", "-Xmx1g")
WAIT_SECONDS = 120


def bootstrap(server):
    return f"{server.host}:{server.port_of('kafka')}"


def new_topic(server):
    name = f"bench-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": bootstrap(server), "log_level": 3})
    for future in admin.create_topics([NewTopic(name, 1, 1)]).values():
        future.result(WAIT_SECONDS)
    return name


def produce(server, topic, size, count, codec="none"):
    """MB per CPU-second of the server while it takes the records."""
    settings = {"bootstrap.servers": bootstrap(server), "linger.ms": 5, "batch.num.messages": 10_000, "acks": "all"}
    settings |= {"queue.buffering.max.messages": 200_000, "queue.buffering.max.kbytes": 1 << 20}
    producer = Producer(settings | {"compression.type": codec})
    # A codec halves each, and finds none of them again in the window it looks back on.
    values = [random.Random(number).randbytes(size // 2).hex().encode() for number in range(VALUES)]
    before = server.cpu_seconds()
    for number in range(count):
        while True:
            try:
                producer.produce(topic, values[number % VALUES])
                break
            except BufferError:
                producer.poll(0.01)
    assert producer.flush(WAIT_SECONDS) == 0, "not all acknowledged"
    return size * count / 1e6 / max(server.cpu_seconds() - before, 0.01)


def consume(server, topic, size, count):
    reader = Consumer({"bootstrap.servers": bootstrap(server), "group.id": topic, "fetch.wait.max.ms": 50,
                       "queued.min.messages": 1_000_000, "enable.auto.commit": False})  # fmt: skip
    before, left = server.cpu_seconds(), count
    reader.assign([TopicPartition(topic, 0, 0)])
    deadline = time.monotonic() + WAIT_SECONDS
    while left > 0:
        left -= len(reader.consume(10_000, 1.0))
        assert time.monotonic() < deadline, f"{left} records never came"
    spent = server.cpu_seconds() - before
    reader.close()
    return size * count / 1e6 / max(spent, 0.01)


def latencies(server, size):
    """Milliseconds from produce() to the consumer, one record at a time."""
    topic = new_topic(server)
    producer = Producer({"bootstrap.servers": bootstrap(server), "linger.ms": 0, "acks": "all"})
    reader = Consumer({"bootstrap.servers": bootstrap(server), "group.id": topic, "fetch.wait.max.ms": 500})
    reader.assign([TopicPartition(topic, 0, 0)])
    found = []
    for number in range(LATENCY_MESSAGES):
        sent = time.perf_counter()
        producer.produce(topic, b"v" * size)
        producer.poll(0)
        message = reader.poll(10)
        assert message is not None and not message.error(), "a record never came"
        if number >= LATENCY_MESSAGES // 10:
            found.append((time.perf_counter() - sent) * 1000)
    producer.flush(WAIT_SECONDS)
    reader.close()
    return found


def measure(options):
    servers = [Kafka(jvm=JVM)] + ([] if options.only_original else [Trivet()])
    names = ["Kafka 4.4.0", *["Trivet"] * (len(servers) - 1)]
    try:
        for server in servers:
            server.start()
        produce(servers[0], new_topic(servers[0]), 100, int(SIZES[100] * options.scale))  # warms the JVM up
        yield from table.header("Kafka, MB per CPU-second", names, "ratio")
        for size, count in SIZES.items():
            yield from throughput(servers, size, int(count * options.scale), options.rounds)
        for codec in CODECS:
            yield from compressed(servers, codec, int(SIZES[1000] * options.scale), options.rounds)
        yield from table.header("Kafka, end to end, ms (p50 / p99)", names)
        for size in SIZES:
            cells = []
            for server in servers:
                found = sorted(latencies(server, size))
                cells.append(f"{statistics.median(found):.2f} / {found[len(found) * 99 // 100]:.2f}")
            yield "| " + " | ".join([f"{size} B", *cells]) + " |"
    finally:
        for server in servers:
            server.close()


def throughput(servers, size, count, rounds):
    sent, taken = [[] for _ in servers], [[] for _ in servers]
    for _ in range(rounds):
        for index, server in enumerate(servers):
            topic = new_topic(server)
            sent[index].append(produce(server, topic, size, count))
            taken[index].append(consume(server, topic, size, count))
    yield table.row(f"produce {size} B", sent)
    yield table.row(f"consume {size} B", taken)


def compressed(servers, codec, count, rounds):
    sent = [[produce(server, new_topic(server), 1000, count, codec) for _ in range(rounds)] for server in servers]
    yield table.row(f"produce 1000 B, {codec}", sent)

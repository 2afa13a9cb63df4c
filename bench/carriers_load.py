"""Carriers: what the thread that runs everything (--reactors 1) still has to do when another carries its bytes.

That thread is what bounds the server once there are cores enough, so its work a CPU-second is the capacity that
carriers give; the process's own shows what the hand-over costs.
"""

import kafka_load
import redis_load
import table
from harness.trivet import Trivet

REDIS_ROWS = [("SET", 1), ("GET", 1), ("SET", 32), ("GET", 32)]
KAFKA_BYTES = 1000


def measure(options):
    servers = [Trivet({"redis": {"appendonly": "no"}}, args=["--reactors", "1", "--carriers", str(count)])
               for count in (0, 1)]  # fmt: skip
    try:
        for server in servers:
            server.start()
            redis_load.load(server, redis_load.ROWS["SET"], 32, redis_load.KEYS)
        yield from table.header("Carriers: work per CPU-second of the first thread (of the process)", ["0", "1"], "ratio")
        for name, pipeline in REDIS_ROWS:
            yield from rows(f"{name} P={pipeline}", servers, options, redis_work(name, pipeline, options))
        yield from rows(f"Kafka produce {KAFKA_BYTES} B, MB", servers, options, kafka_work(options, False))
        yield from rows(f"Kafka consume {KAFKA_BYTES} B, MB", servers, options, kafka_work(options, True))
    finally:
        for server in servers:
            server.close()


def redis_work(name, pipeline, options):
    count = int(redis_load.COUNTS[pipeline] * options.scale)

    def work(server):
        begun = clocks(server)
        redis_load.load(server, redis_load.ROWS[name], pipeline, count)
        return count, begun

    return work


def kafka_work(options, consumes):
    count = int(kafka_load.SIZES[KAFKA_BYTES] * options.scale)

    def work(server):
        topic = kafka_load.new_topic(server)
        begun = clocks(server)
        kafka_load.produce(server, topic, KAFKA_BYTES, count)
        if consumes:
            begun = clocks(server)
            kafka_load.consume(server, topic, KAFKA_BYTES, count)
        return KAFKA_BYTES * count / 1e6, begun

    return work


def clocks(server):
    return server.first_thread_cpu_seconds(), server.cpu_seconds()


def rows(label, servers, options, work):
    """Each server's figure for its first thread, the process's behind it."""
    if options.rows and options.rows.lower() not in label.lower():
        return
    first, whole = [[] for _ in servers], [[] for _ in servers]
    for _ in range(options.rounds):
        for index, server in enumerate(servers):
            done, begun = work(server)
            ended = clocks(server)
            first[index].append(done / max(ended[0] - begun[0], 0.01))
            whole[index].append(done / max(ended[1] - begun[1], 0.01))
    yield table.row(label, first)
    yield table.row(f"{label} (process)", whole)

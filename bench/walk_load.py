"""Redis: what others notice of BGSAVE and of BGREWRITEAOF. Clients that SET one at a time, with and without a walk over a million keys
going on all the while: the 99th percentile of their waiting, and how much more is resident."""

import csv
import io
import subprocess
import threading
import time

import redis_load
import table
from wire.resp import Connection

SECONDS = 4
LOOK_SECONDS = 0.01
WALKS = {"BGSAVE": "rdb_bgsave_in_progress", "BGREWRITEAOF": "aof_rewrite_in_progress"}
CLIENTS = 2
KEYS = ["-r", str(redis_load.KEYS), "SET", redis_load.KEY, redis_load.VALUE]


def p99_us(server, count):
    command = ["redis-benchmark", "-h", server.host, "-p", str(server.port_of("redis")), "-c", str(CLIENTS), "-n", str(count),
               "--csv", *KEYS]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(list(csv.DictReader(io.StringIO(done.stdout)))[0]["p99_latency_ms"]) * 1000


class Walking:
    """One walk after the other until the block ends."""

    def __init__(self, server, command):
        self.connection = Connection(server.port_of("redis"))
        self.server, self.command = server, command
        self.walks, self.resident_max, self.over = 0, 0, False
        self.thread = threading.Thread(target=self.run)

    def is_walking(self):
        return f"{WALKS[self.command]}:1".encode() in self.connection.ask("INFO", "persistence")[1]

    def run(self):
        while not self.over:
            self.connection.ask(self.command)
            self.walks += 1
            while self.is_walking():
                self.resident_max = max(self.resident_max, self.server.resident_bytes())
                time.sleep(LOOK_SECONDS)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()
        self.connection.close()


def measure_one(server, command, count):
    """(p99 at rest, p99 during walks, how much more is resident)"""
    at_rest, resident = p99_us(server, count), server.resident_bytes()
    with Walking(server, command) as walking:
        during = p99_us(server, count)
    return at_rest, during, walking.resident_max / resident


def measure(options):
    servers = redis_load.servers_of(options)
    names = [redis_load.name_of(servers[0][1].program), *["Trivet"] * (len(servers) - 1)]
    yield from table.header("Redis while a million keys are written to a file: p99 of a SET, µs (at rest / meanwhile; resident)", names)
    count = int(40_000 * SECONDS * options.scale)
    try:
        for _, server in servers:
            server.start()
            redis_load.load(server, redis_load.ROWS["SET"], 32, redis_load.KEYS * 2)
        for command in WALKS:
            found = [[measure_one(server, command, count) for _ in range(options.rounds)] for _, server in servers]
            cells = [f"{rest:.0f} / {during:.0f}; {resident:.2f}" for rest, during, resident in map(middle, found)]
            yield "| " + " | ".join([command, *cells]) + " |"
    finally:
        for _, server in servers:
            server.close()


def middle(rounds):
    """The round whose p99 meanwhile is the median."""
    return sorted(rounds, key=lambda figures: figures[1])[len(rounds) // 2]

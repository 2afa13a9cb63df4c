"""ZooKeeper: create, set and get through zkload, operations per CPU-second of the server."""

import subprocess

import program
import table
from harness.originals import ZooKeeper
from harness.trivet import Trivet

DATA_BYTES = 128
# label: (connections, in flight on each, operations)
SHAPES = {"1 in flight": (1, 1, 10_000), "64 in flight": (8, 8, 200_000), "512 in flight": (8, 64, 400_000)}
OPERATIONS = ("create", "set", "get")
JVM = ("-Xms1g", "-Xmx2g")


def load(generator, server, operation, connections, in_flight, count):
    """(operations per CPU-second, operations per second, p50 and p99 in microseconds)."""
    command = [generator, server.host, server.port_of("zookeeper"), operation, connections, in_flight, count, DATA_BYTES]
    before = server.cpu_seconds()
    done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    spent = max(server.cpu_seconds() - before, 0.01)
    rate, p50, p99 = done.stdout.split()
    return count / spent, float(rate), int(p50), int(p99)


def measure(options):
    generator = program.build("zkload")
    servers = [ZooKeeper(jvm=JVM)] + ([] if options.only_original else [Trivet()])
    names = ["ZooKeeper 3.9.3", *["Trivet"] * (len(servers) - 1)]
    yield from table.header("ZooKeeper, operations per CPU-second", names, *["ratio"] * (len(servers) - 1), "per second, p50/p99 µs")
    try:
        for server in servers:
            server.start()
        for operation in OPERATIONS:  # warms the JVM up
            load(generator, servers[0], operation, 8, 64, int(200_000 * options.scale))
        for label, (connections, in_flight, count) in SHAPES.items():
            for operation in OPERATIONS:
                found = [[] for _ in servers]
                for _ in range(options.rounds):
                    for index, server in enumerate(servers):
                        shape = connections, in_flight, int(count * options.scale)
                        found[index].append(load(generator, server, operation, *shape))
                speeds = [sorted(sample[1:] for sample in one)[len(one) // 2] for one in found]
                told = "; ".join(f"{table.count(rate)}, {p50}/{p99}" for rate, p50, p99 in speeds)
                yield table.row(f"{operation}, {label}", [[sample[0] for sample in one] for one in found], told)
    finally:
        for server in servers:
            server.close()

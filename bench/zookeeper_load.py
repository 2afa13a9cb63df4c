"""ZooKeeper: create, set and get through zkload, operations per CPU-second of the server."""

import pathlib
import subprocess

import table
from harness.originals import ZooKeeper
from harness.trivet import Trivet

HERE = pathlib.Path(__file__).resolve().parent
BINARY = HERE.parent / ".cache" / "zkload"
DATA_BYTES = 128
# label: (connections, in flight on each, operations)
SHAPES = {"1 in flight": (1, 1, 10_000), "64 in flight": (8, 8, 200_000), "512 in flight": (8, 64, 400_000)}
OPERATIONS = ("create", "set", "get")
JVM = ("-Xms1g", "-Xmx2g")


def build():
    source = HERE / "zkload.c"
    if not BINARY.exists() or BINARY.stat().st_mtime < source.stat().st_mtime:
        BINARY.parent.mkdir(exist_ok=True)
        subprocess.run(["cc", "-O2", "-Wall", "-o", str(BINARY), str(source)], check=True)


def load(server, operation, connections, in_flight, count):
    """(operations per CPU-second, operations per second, p50 and p99 in microseconds)."""
    command = [BINARY, server.host, server.port_of("zookeeper"), operation, connections, in_flight, count, DATA_BYTES]
    before = server.cpu_seconds()
    done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    spent = max(server.cpu_seconds() - before, 0.01)
    rate, p50, p99 = done.stdout.split()
    return count / spent, float(rate), int(p50), int(p99)


def measure(options):
    build()
    servers = [ZooKeeper(jvm=JVM)] + ([] if options.only_original else [Trivet()])
    names = ["ZooKeeper 3.9.3", *["Trivet"] * (len(servers) - 1)]
    yield from table.header("ZooKeeper, operations per CPU-second", names, *["ratio"] * (len(servers) - 1), "per second, p50/p99 µs")
    try:
        for server in servers:
            server.start()
        for operation in OPERATIONS:  # warms the JVM up
            load(servers[0], operation, 8, 64, int(200_000 * options.scale))
        for label, (connections, in_flight, count) in SHAPES.items():
            for operation in OPERATIONS:
                found = [[] for _ in servers]
                for _ in range(options.rounds):
                    for index, server in enumerate(servers):
                        found[index].append(load(server, operation, connections, in_flight, int(count * options.scale)))
                speeds = [sorted(sample[1:] for sample in one)[len(one) // 2] for one in found]
                told = "; ".join(f"{table.count(rate)}, {p50}/{p99}" for rate, p50, p99 in speeds)
                yield table.row(f"{operation}, {label}", [[sample[0] for sample in one] for one in found], told)
    finally:
        for server in servers:
            server.close()

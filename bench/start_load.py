"""How long until ready, and how much memory when idle."""

import statistics
import time

import table
from harness.originals import Kafka, Valkey, ZooKeeper
from harness.trivet import Trivet

IDLE_SECONDS = 2
JVM = ("-Xmx1g",)


def one(make):
    server = make()
    try:
        begun = time.monotonic()
        server.start()
        ready = (time.monotonic() - begun) * 1000
        time.sleep(IDLE_SECONDS)
        return ready, server.resident_bytes() / 2**20, server
    finally:
        server.close()


def measure(options):
    yield from table.header("Start and idle memory", ["ms from start to ready", "MiB resident when idle"])
    makes = {"redis-server": lambda: Valkey(program="redis-server")}
    makes |= {"ZooKeeper": lambda: ZooKeeper(jvm=JVM), "Kafka": lambda: Kafka(jvm=JVM)}
    if not options.only_original:
        makes |= {"Trivet, all three wings": Trivet}
    for name, make in makes.items():
        if options.rows and options.rows.lower() not in name.lower():
            continue
        found = [one(make) for _ in range(options.rounds)]
        ready, resident = (statistics.median(values) for values in zip(*[sample[:2] for sample in found], strict=True))
        own = [sample[2].ready["ready_ms"] for sample in found if getattr(sample[2], "ready", None)]
        note = f" (by its own clock {statistics.median(own)})" if own else ""
        yield f"| {name} | {ready:.0f}{note} | {resident:.1f} |"

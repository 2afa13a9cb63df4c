"""Benchmarks of Trivet against the originals: the same load on both, interleaved, in operations per CPU-second.

    make bench ARGS="redis kafka zookeeper outbox start --rounds 3 --out results.md"

A CPU-second is one second of user or system time of any thread of the server, from /proc; so the numbers say what the
server costs, whatever else the machine does and however slow the client is. Prints Markdown.
"""

import argparse
import os
import pathlib
import platform
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

import carriers_load  # noqa: E402
import kafka_load  # noqa: E402
import memory_load  # noqa: E402
import outbox_load  # noqa: E402
import redis_load  # noqa: E402
import start_load  # noqa: E402
import tls_load  # noqa: E402
import together_load  # noqa: E402
import walk_load  # noqa: E402
import zookeeper_load  # noqa: E402

PARTS = {"start": start_load, "redis": redis_load, "memory": memory_load, "zookeeper": zookeeper_load, "kafka": kafka_load,
         "outbox": outbox_load, "carriers": carriers_load, "tls": tls_load, "together": together_load, "walks": walk_load}  # fmt: skip


def machine():
    model = "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{os.cpu_count()} cores, {model}, Linux {platform.release().split('-')[0]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what to measure (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each row is measured; the median counts")
    parser.add_argument("--scale", type=float, default=1.0, help="more or fewer operations a row")
    parser.add_argument("--rows", help="only the rows whose name contains this")
    parser.add_argument("--aof", action="store_true", help="Redis with an append-only file synced every second")
    parser.add_argument("--maxmemory", help="Redis with this limit, allkeys-lru: rows that write more evict")
    parser.add_argument("--against", default=None, help="another program than redis-server to compare with")
    parser.add_argument("--only-original", action="store_true", help="leave Trivet out")
    parser.add_argument("--out", type=pathlib.Path, help="also write the tables here")
    options = parser.parse_args()
    text = [f"Measured on {machine()}.", ""]
    print(text[0], flush=True)
    for part in options.parts or PARTS:
        for line in PARTS[part].measure(options):
            print(line, flush=True)
            text.append(line)
    if options.out:
        options.out.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()

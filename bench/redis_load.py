"""Redis: redis-benchmark against both servers, row by row, P=1 and P=32."""

import random
import shutil
import subprocess
import time

import stream_load
import table
from harness.originals import Valkey
from harness.trivet import Trivet

KEYS = 1_000_000
CLIENTS = 50
VALUE = "x" * 64
KEY = "key:__rand_int__"
ROWS = {
    "SET": ["SET", KEY, VALUE],
    "GET": ["GET", KEY],
    "INCR": ["INCR", "counter:__rand_int__"],
    "LPUSH": ["LPUSH", "mylist", VALUE],
    "HSET": ["HSET", "myhash", "element:__rand_int__", VALUE],
    "HGETEX": ["HGETEX", "sessions", "EX", "1000", "FIELDS", "1", "element:__rand_int__"],
    "ZADD": ["ZADD", "myzset", "__rand_int__", "element:__rand_int__"],
    "PFADD": ["PFADD", "myhll", "element:__rand_int__"],
    "GEOADD": ["GEOADD", "myplaces", "13.361389", "38.115556", "element:__rand_int__"],
    "GEOSEARCH": ["GEOSEARCH", "places", "FROMLONLAT", "10", "37", "BYRADIUS", "50", "km", "ASC", "COUNT", "10"],
    "MSET (10 keys)": ["MSET", *[word for _ in range(10) for word in (KEY, VALUE)]],
    "LRANGE_100": ["LRANGE", "hundred", "0", "99"],
    "XADD": ["XADD", "mystream", "*", "field", VALUE],
    "XREADGROUP+XACK": stream_load,
}
LATER = {"HGETEX"}  # commands that an older original does not know: then the row is left out
GROWING = {"LPUSH": "mylist", "XADD": "mystream"}  # begun anew for each run
# Operations a run; a row is repeated once a round.
COUNTS = {1: 200_000, 8: 300_000, 32: 1_500_000}
SLOW = {"MSET (10 keys)": 5, "ZADD": 3, "GEOADD": 3, "GEOSEARCH": 15, "XREADGROUP+XACK": 4}
PLACES = 100_000


def load(server, words, pipeline, count):
    command = ["redis-benchmark", "-h", server.host, "-p", str(server.port_of("redis")), "-c", str(CLIENTS), "-n", str(count),
               "-P", str(pipeline), "-r", str(KEYS), "-q", *words]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)


def pipe(server, lines):
    command = ["redis-cli", "-p", str(server.port_of("redis")), "--pipe"]
    subprocess.run(command, input="\r\n".join(lines) + "\r\n", text=True, check=True, capture_output=True)


def fill_places(server):
    """Places all over the Mediterranean, the same in both servers."""
    lot = random.Random(7)
    pipe(server, (f"GEOADD places {lot.uniform(0, 20):.6f} {lot.uniform(30, 45):.6f} place:{n}" for n in range(PLACES)))


def fill_sessions(server):
    """A field for each number that redis-benchmark makes up."""
    pipe(server, (f"HSET sessions element:{n:012} {VALUE}" for n in range(KEYS)))


def knows(server, command):
    asked = ["redis-cli", "-p", str(server.port_of("redis")), "COMMAND", "INFO", command]
    return "fast" in subprocess.run(asked, capture_output=True, text=True).stdout


def settle(server):
    """A rewrite of the append-only file that a row set off belongs to the row (the original does it in a child process)."""
    for _ in range(200):
        command = ["redis-cli", "-p", str(server.port_of("redis")), "INFO", "persistence"]
        if "aof_rewrite_in_progress:1" not in subprocess.run(command, capture_output=True, text=True).stdout:
            return
        time.sleep(0.05)


def servers_of(options):
    settings = {"appendonly": "yes", "appendfsync": "everysec"} if options.aof else {"appendonly": "no"}
    if options.maxmemory:
        settings |= {"maxmemory": options.maxmemory, "maxmemory-policy": "allkeys-lru"}
    program = options.against or shutil.which("redis-server")
    made = [("original", Valkey(dict(settings), program=program))]
    if not options.only_original:
        made.append(("trivet", Trivet({"redis": dict(settings)})))
    return made


def name_of(program):
    words = subprocess.run([program, "--version"], capture_output=True, text=True).stdout.split()
    version = next((word[2:] for word in words if word.startswith("v=")), "")
    return f"{program.rpartition('/')[2]} {version}"


def measure(options):
    servers = servers_of(options)
    names = [name_of(servers[0][1].program), *["Trivet"] * (len(servers) - 1)]
    title = "Redis, operations per CPU-second" + (", append-only file on" if options.aof else "")
    title += f", maxmemory {options.maxmemory}" if options.maxmemory else ""
    yield from table.header(title, names, "ratio")
    try:
        for _, server in servers:
            server.start()
            load(server, ROWS["SET"], 32, KEYS * 2)
            load(server, ["RPUSH", "hundred", VALUE], 1, 100)
            fill_places(server)
            fill_sessions(server)
        for pipeline in (1, 32):
            for name, words in ROWS.items():
                depth = 8 if name == "LRANGE_100" and pipeline == 32 else pipeline
                label = f"{name} P={depth}"
                if options.rows and options.rows.lower() not in label.lower():
                    continue
                if name in LATER and not all(knows(server, name) for _, server in servers):
                    continue
                yield table.row(label, samples(servers, name, words, depth, options))
    finally:
        for _, server in servers:
            server.close()


def sample(server, words, pipeline, count):
    if words is stream_load:
        rounds = stream_load.fill(server, count // 2, pipeline)
        count = stream_load.commands(rounds, pipeline)
    before = server.cpu_seconds()
    if words is stream_load:
        stream_load.work(server, rounds, pipeline)
    else:
        load(server, words, pipeline, count)
    settle(server)
    return count / max(server.cpu_seconds() - before, 0.01)


def samples(servers, name, words, pipeline, options):
    count = int(COUNTS[pipeline] * options.scale / (SLOW.get(name, 1) if pipeline > 1 else 1))
    found = [[] for _ in servers]
    for _ in range(options.rounds):
        for index, (_, server) in enumerate(servers):
            found[index].append(sample(server, words, pipeline, count))
            if name in GROWING:
                subprocess.run(["redis-cli", "-p", str(server.port_of("redis")), "DEL", GROWING[name]], capture_output=True)
    return found

"""The program itself: its flags, its ready line, its ports, and what it says when something is wrong."""

import fcntl
import json
import pathlib
import resource
import select
import signal
import socket
import subprocess
import urllib.error
import urllib.request

import pytest
import redis

from harness.process import HOST, exchange, free_port
from harness.trivet import WINGS, Trivet, binary
from wire import resp

pytestmark = pytest.mark.trivet_only


FREE_PORTS = [word for wing in WINGS for word in (f"--{wing}.port", 0)]


def run(*args, seconds=60):
    return subprocess.run([binary(), *map(str, args)], capture_output=True, text=True, timeout=seconds)


def get(server, path):
    with urllib.request.urlopen(f"http://{HOST}:{server.port_of('http')}{path}", timeout=60) as reply:
        return reply.status, reply.read().decode()


def test_version_and_help_are_printed_on_request():
    version, told = run("--version"), run("--help")
    assert version.returncode == 0 and "trivet" in version.stdout.lower()
    assert told.returncode == 0
    for flag in ("--config", "--data", "--bind", "--redis.port", "--kafka.port", "--zookeeper.port", "--http.port", "--ready-json"):
        assert flag in told.stdout, flag


@pytest.mark.parametrize(
    "args",
    [
        ["--no-such-flag"], ["stray"], ["--data"], ["--redis.no-such-directive", "1"], ["--nosuch.port", "1"],
        ["--redis.port", "x"], ["--redis.port", "70000"], ["--kafka.port", "-2"], ["--zookeeper.tickTime", "soon"],
        ["--kafka.num.partitions", "many"], ["--log-level", "loud"], ["--reactors", "0"], ["--reactors", "9"], ["--reactors", "two"],
        ["--carriers", "-1"], ["--carriers", "65"], ["--carriers", "two"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_an_unknown_or_ill_typed_flag_is_one_clear_error(args, tmp_path):
    done = run("--data", tmp_path, *args)
    assert done.returncode != 0 and done.stdout == ""
    assert args[0].lstrip("-").split(".")[-1] in done.stderr or args[0] == "--nosuch.port" and "nosuch" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.parametrize(
    "flag, meant",
    [
        ("--redis.requirepas", "requirepass"), ("--redis.maxmemroy", "maxmemory"), ("--kafka.num.partition", "num.partitions"), ("--kafka.protected-mod", "protected-mode"),
        ("--zookeeper.tikTime", "tickTime"), ("--trivet.bnd", "bind"), ("--dataa", "data"), ("--rediss.port", "redis"),
        ("--http.prot", "port"),
    ],
)  # fmt: skip
def test_a_misspelt_name_is_told_which_one_was_meant(flag, meant, tmp_path):
    done = run("--data", tmp_path, flag, "1")
    assert done.returncode != 0 and f"did you mean '{meant}'?" in done.stderr, done.stderr


def test_a_name_that_is_near_nothing_gets_no_hint(tmp_path):
    assert "did you mean" not in run("--data", tmp_path, "--redis.zzzzzzzz", "1").stderr


def test_a_data_directory_that_cannot_be_is_called_what_it_is(tmp_path):
    file, disk = tmp_path / "file", tmp_path / "disk"
    file.touch()
    disk.mkdir()
    assert f"{file}: not a directory" in run("--data", file, *FREE_PORTS).stderr
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", disk], check=True)
    try:
        for data in (disk, disk / "below"):
            assert f"{data}: the file system is read-only" in run("--data", data, *FREE_PORTS).stderr
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize(
    "text, line, word",
    [
        ("[redis]\n\nnosuch = 1\n", 3, "nosuch"),
        ("[redis]\nappendonly = perhaps\n", 2, "appendonly"),
        ("[redis]\nmaxmemory = 1x\n", 2, "maxmemory"),
        ("[nosuch]\na = 1\n", 2, "nosuch"),
        ("# a comment\n[kafka]\nnum.partitions = none\n", 3, "num.partitions"),
        ("[zookeeper]\ntickTime = abc\n", 2, "tickTime"),
        ("[trivet]\nreactors = 99\n", 2, "reactors"),
        ("[trivet]\nchangefeed.a.topic = t\nchangefeed.a.colour = red\n", 3, "colour"),
        ("# a comment\nrubbish\n", 2, "NAME"),
    ],
)
def test_an_error_in_the_configuration_file_names_its_line(text, line, word, tmp_path):
    config = tmp_path / "trivet.conf"
    config.write_text(text)
    done = run("--data", tmp_path / "data", "--config", config, *FREE_PORTS)
    assert done.returncode != 0 and done.stdout == ""
    assert f"{config}:{line}:" in done.stderr and word in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_configuration_file_that_is_not_there_is_named(tmp_path):
    done = run("--data", tmp_path, "--config", tmp_path / "nosuch.conf")
    assert done.returncode != 0 and str(tmp_path / "nosuch.conf") in done.stderr


def test_the_ready_line_is_the_only_one_and_true(launch):
    server = launch("redis")
    assert set(server.ready) >= {"pid", "redis", "kafka", "zookeeper", "http", "data", "ready_ms"}
    assert server.ready["pid"] == server.pid and server.ready["data"] == str(server.data)
    for wing in WINGS:
        socket.create_connection((HOST, server.ready[wing]), timeout=60).close()
    process = server.process
    process.terminate()
    assert process.wait(60) == 0
    assert process.stdout.read() == b""


def test_minus_one_leaves_a_wing_off():
    for wing in ("redis", "kafka", "zookeeper", "http"):
        with Trivet({wing: {"port": -1}}) as server:
            server.start()
            assert server.ready.get(wing) in (None, -1, 0)
            for other in set(WINGS) - {wing}:
                socket.create_connection((HOST, server.ready[other]), timeout=60).close()


@pytest.mark.parametrize("wing", WINGS)
def test_a_taken_port_is_named_in_one_line(wing, tmp_path):
    with socket.socket() as taken:
        port = free_port()
        taken.bind((HOST, port))
        taken.listen()
        done = run("--data", tmp_path, *FREE_PORTS, f"--{wing}.port", port)
    assert done.returncode != 0 and done.stdout == ""
    assert str(port) in done.stderr and f"--{wing}.port" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_an_address_of_another_machine_is_named_in_one_line(tmp_path):
    done = run("--data", tmp_path, *FREE_PORTS, "--bind", "192.0.2.1")
    assert done.returncode != 0 and done.stdout == ""
    assert "192.0.2.1: not an address of this machine" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_polite_signal_stops_cleanly_and_a_restart_has_everything(number, launch):
    server = launch("redis")
    with resp.Connection(server.port_of("redis")) as connection:
        assert connection.ask("SET", "kept", "yes") == ("+", "OK")
    server.process.send_signal(number)
    assert server.process.wait(60) == 0
    server.start()
    with resp.Connection(server.port_of("redis")) as connection:
        assert connection.ask("GET", "kept") == ("$", b"yes")


def test_a_login_s_limit_of_open_files_is_raised(launch):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        server = launch("redis")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    connections = [resp.Connection(server.port_of("redis")) for _ in range(400)]
    assert connections[-1].ask("PING") == ("+", "PONG")
    for connection in connections:
        connection.close()


def test_a_server_waits_a_moment_for_the_lock_of_one_that_just_died(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    with (data / "trivet.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen([binary(), "--data", data, *map(str, FREE_PORTS), "--ready-json"], stdout=subprocess.PIPE)
        assert select.select([process.stdout], [], [], 0.5)[0] == []  # it waits, and has not given up
        fcntl.flock(lock, fcntl.LOCK_UN)
        lines = [json.loads(process.stdout.readline()) for _ in range(5)]
        assert sorted(line["wing"] for line in lines[:4]) == ["http", "kafka", "redis", "zookeeper"]
        assert lines[4]["pid"] == process.pid and all(line["ready_ms"] <= lines[4]["ready_ms"] for line in lines[:4])
        process.terminate()
        assert process.wait(60) == 0


def banner(tmp_path, path):
    """What the program prints when it starts with this $PATH."""
    process = subprocess.Popen([binary(), "--data", tmp_path / "data", *map(str, FREE_PORTS)], env={"PATH": str(path)},
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    lines = iter(process.stdout.readline, "")
    text = "".join(line for line in [next(lines) for _ in range(6)] + list(iter(lambda: next(lines), "\n")))
    process.terminate()
    assert process.wait(60) == 0
    return text


def test_the_banner_names_only_clients_that_are_there(tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("redis-cli", "kcat", "zkCli.sh"):
        assert f"{name} -" not in banner(tmp_path, "/nowhere").replace("/usr/share/zookeeper/bin/zkCli.sh -", "")
        (tmp_path / "bin" / name).write_text("#!/bin/sh\n")
        (tmp_path / "bin" / name).chmod(0o755)
        assert f"{name} -" in banner(tmp_path, tmp_path / "bin")
    assert "make tools" not in banner(tmp_path, tmp_path / "bin")
    assert "make tools" in banner(tmp_path, "/nowhere")


def test_metrics_and_health_are_served(launch):
    server = launch("redis")
    assert get(server, "/healthz")[0] == 200 and get(server, "/readyz")[0] == 200
    status, text = get(server, "/metrics")
    assert status == 200 and "# TYPE " in text


def test_the_first_page_names_the_others(launch):
    server = launch("redis")
    status, text = get(server, "/")
    assert status == 200 and text.startswith("Trivet ")
    for path in ("/metrics", "/healthz", "/readyz"):
        assert path in text and get(server, path)[0] == 200
    assert f"port {server.port_of('kafka')}" in text
    with pytest.raises(urllib.error.HTTPError, match="404") as missing:
        get(server, "/nothing")
    assert "/ lists" in missing.value.read().decode()


def test_a_turn_that_takes_long_is_counted_and_logged_with_what_ran(launch):
    server = launch("redis")
    assert server.metric("trivet_turn_seconds_count") > 0
    with resp.Connection(server.port_of("redis")) as connection:
        connection.ask("EVAL", "for i = 1, 300000 do redis.call('SADD', KEYS[1], i * 7919 % 1000003) end", 1, "many")
        for _ in range(20):  # a reactor writes at most one such line a second; those of turns before are then over
            connection.ask("PING")  # in a turn of its own: the one before was counted
            before = server.metric("trivet_turns_over_50ms_total")
            connection.ask("SORT", "many", "ALPHA", "LIMIT", 0, 1)
            connection.ask("PING")
            assert server.metric("trivet_turns_over_50ms_total") > before
            if 'ran="redis sort"' in server.log_tail(20):
                return
    raise AssertionError(f"none of the turns is told of:\n{server.log_tail(20)}")


def test_a_configuration_file_has_the_directives_people_know(tmp_path):
    config = tmp_path / "trivet.conf"
    config.write_text("[redis]\nrequirepass = sesame\n\n[kafka]\nnum.partitions = 3\n\n[zookeeper]\ntickTime = 1000\n")
    with Trivet(args=["--config", config]) as server:
        server.start()
        assert exchange(server.port_of("redis"), b"PING\r\nQUIT\r\n").startswith(b"-NOAUTH")
        assert b"tickTime=1000" in exchange(server.port_of("zookeeper"), b"conf")


def test_two_servers_never_share_a_data_directory(launch):
    server = launch("redis")
    done = run("--data", server.data, *FREE_PORTS, "--ready-json")
    assert done.returncode != 0 and done.stdout == "" and str(server.data) in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    server.restart(kill=True)  # what died does not hold its directory
    assert server.alive()


def test_the_tree_shows_the_broker_and_its_topics(launch):
    from kazoo.client import KazooClient

    from wire import kafka

    server = launch("redis")
    with kafka.Connection(server.port_of("kafka")) as connection:
        topic = {"name": "seen", "partitions": 2, "replication": 1, "assignments": [], "configs": []}
        connection.ask("CreateTopics", 5, topics=[topic], timeout=5000, validate=False)
        node = connection.ask("Metadata", 1, topics=["seen"])["brokers"][0]["node"]
    client = KazooClient(f"{HOST}:{server.port_of('zookeeper')}")
    client.start()
    try:
        assert client.get_children("/brokers/ids") == [str(node)]
        assert "seen" in client.get_children("/brokers/topics")
        assert json.loads(client.get("/controller")[0])["brokerid"] == node
    finally:
        client.stop()
        client.close()


def test_kafka_produce_from_redis_replies_with_partition_and_offset(launch):
    from wire import kafka

    server = launch("redis")
    with resp.Connection(server.port_of("redis")) as connection:
        for offset in range(3):
            reply = connection.ask("KAFKA.PRODUCE", "bridged", "PARTITION", 0, "KEY", "k", "HEADER", "h", "v", f"value {offset}")
            assert reply == ("*", [(":", 0), (":", offset)])
    with kafka.Connection(server.port_of("kafka")) as connection:
        part = {"index": 0, "offset": 0, "max": 10_000}
        reply = connection.ask("Fetch", 4, replica=-1, wait=0, min=0, max=10_000, isolation=0,
                               topics=[{"name": "bridged", "partitions": [part]}])  # fmt: skip
        assert reply["topics"][0]["partitions"][0]["high"] == 3
        assert b"value 2" in reply["topics"][0]["partitions"][0]["records"]


def test_carriers_carry_every_connection_and_all_stop_together(tmp_path):
    value = b"v" * 3_000_000  # more than sockets hold: a reply that leaves in pieces
    server = Trivet(data=tmp_path / "data", args=["--carriers", "2"])
    with server.start():
        threads = [path.read_text().strip() for path in pathlib.Path(f"/proc/{server.pid}/task").glob("*/comm")]
        assert {"carrier-1", "carrier-2"} <= set(threads) and "carrier-3" not in threads
        clients = [redis.Redis(port=server.port_of("redis")) for _ in range(8)]
        for number, client in enumerate(clients):
            assert client.set(f"key{number}", value)
        for number, client in enumerate(reversed(clients)):
            assert client.get(f"key{number}") == value
        assert exchange(server.port_of("zookeeper"), b"ruok") == b"imok"
        assert server.stop() == 0

"""The program itself: its flags, its ready line, its ports, and what it says when something is wrong."""

import json
import socket
import subprocess
import urllib.request

import pytest

from harness.process import HOST, exchange, free_port
from harness.trivet import WINGS, Trivet, binary
from wire import resp

pytestmark = pytest.mark.trivet_only


def run(*args, seconds=20):
    return subprocess.run([binary(), *map(str, args)], capture_output=True, text=True, timeout=seconds)


def get(server, path):
    with urllib.request.urlopen(f"http://{HOST}:{server.port_of('http')}{path}", timeout=10) as reply:
        return reply.status, reply.read().decode()


def test_version_and_help_are_printed_on_request():
    version, told = run("--version"), run("--help")
    assert version.returncode == 0 and "trivet" in version.stdout.lower()
    assert told.returncode == 0
    for flag in ("--config", "--data", "--bind", "--redis.port", "--kafka.port", "--zookeeper.port", "--http.port", "--ready-json"):
        assert flag in told.stdout, flag


@pytest.mark.parametrize("args", [["--no-such-flag"], ["--redis.no-such-directive", "1"], ["--redis.port", "x"], ["--redis.port", "70000"]])
def test_an_unknown_or_ill_typed_flag_is_one_clear_error(args, tmp_path):
    done = run("--data", tmp_path, *args)
    assert done.returncode != 0 and done.stdout == ""
    assert args[0].lstrip("-").split(".")[-1] in done.stderr and len(done.stderr.strip().splitlines()) <= 3


def test_the_ready_line_is_the_only_one_and_true(launch):
    server = launch("redis")
    assert set(server.ready) >= {"pid", "redis", "kafka", "zookeeper", "http", "data", "ready_ms"}
    assert server.ready["pid"] == server.pid and server.ready["data"] == str(server.data)
    for wing in WINGS:
        socket.create_connection((HOST, server.ready[wing]), timeout=5).close()
    process = server.process
    process.terminate()
    assert process.wait(20) == 0
    assert process.stdout.read() == b""


def test_minus_one_leaves_a_wing_off():
    for wing in ("redis", "kafka", "zookeeper", "http"):
        with Trivet({wing: {"port": -1}}) as server:
            server.start()
            assert server.ready.get(wing) in (None, -1, 0)
            for other in set(WINGS) - {wing}:
                socket.create_connection((HOST, server.ready[other]), timeout=5).close()


def test_a_taken_port_is_named_in_one_line(tmp_path):
    with socket.socket() as taken:
        port = free_port()
        taken.bind((HOST, port))
        taken.listen()
        done = run("--data", tmp_path, "--redis.port", port, "--kafka.port", 0, "--zookeeper.port", 0, "--http.port", 0)
    assert done.returncode != 0
    assert str(port) in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_metrics_and_health_are_served(launch):
    server = launch("redis")
    assert get(server, "/healthz")[0] == 200 and get(server, "/readyz")[0] == 200
    status, text = get(server, "/metrics")
    assert status == 200 and "# TYPE " in text


def test_a_configuration_file_has_the_directives_people_know(tmp_path):
    config = tmp_path / "trivet.conf"
    config.write_text("[redis]\nrequirepass = sesame\n\n[kafka]\nnum.partitions = 3\n\n[zookeeper]\ntickTime = 1000\n")
    with Trivet(args=["--config", config]) as server:
        server.start()
        assert exchange(server.port_of("redis"), b"PING\r\nQUIT\r\n").startswith(b"-NOAUTH")
        assert b"tickTime=1000" in exchange(server.port_of("zookeeper"), b"conf")


def test_two_servers_never_share_a_data_directory(launch):
    server = launch("redis")
    done = run("--data", server.data, "--redis.port", 0, "--kafka.port", 0, "--zookeeper.port", 0, "--http.port", 0, "--ready-json")
    assert done.returncode != 0 and str(server.data) in done.stderr


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

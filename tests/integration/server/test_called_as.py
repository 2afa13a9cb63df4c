"""Called by the name of an original, the program takes that one's configuration file and flags and is only that."""

import contextlib
import os
import signal
import subprocess

import pytest
import redis
from confluent_kafka.admin import AdminClient

from harness.process import HOST, exchange, free_port
from harness.trivet import Trivet, binary

pytestmark = pytest.mark.trivet_only


@pytest.fixture
def call(tmp_path):
    """call(name, *args): runs the program by that name to its end."""

    def run(name, *args):
        link = tmp_path / name
        if not link.exists():
            link.symlink_to(binary())
        return subprocess.run([link, *map(str, args)], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture
def serve(tmp_path):
    """serve(name, *args): as a context, the program by that name once it said that it is ready."""

    @contextlib.contextmanager
    def running(name, *args):
        link = tmp_path / name
        link.symlink_to(binary())
        process = subprocess.Popen([link, *map(str, args)], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        try:
            assert f"PID: {process.pid}\n" in process.stdout.readline()
            assert process.stdout.readline() == "Ready to accept connections\n"
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    return running


def listening_ports(pid):
    inodes = set()
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    found = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}") as rows:
            for row in list(rows)[1:]:
                fields = row.split()
                if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                    found.add(int(fields[1].rpartition(":")[2], 16))
    return found


@pytest.mark.parametrize("quoted, meant", [(r'"\x41\"b\\"', 'A"b\\'), (r"'a\'\n'", "a'\\n")])
def test_redis_server_unquotes_as_the_original(serve, tmp_path, quoted, meant):
    port = free_port()
    (tmp_path / "redis.conf").write_text(f"port {port}\nbind {HOST}\nrequirepass {quoted}\n")
    with serve("redis-server", "redis.conf"):
        assert redis.Redis(HOST, port, password=meant).ping()


def test_redis_server_refuses_what_follows_a_quote(call, tmp_path):
    (tmp_path / "redis.conf").write_text('requirepass "a"b\n')
    ended = call("redis-server", "redis.conf")
    assert ended.returncode == 2
    assert "redis.conf:1: a quote is not closed, or something stands right behind it, in the value of requirepass" in ended.stderr


def test_redis_server_reads_its_file_and_then_its_flags(serve, tmp_path):
    port = free_port()
    (tmp_path / "data").mkdir()
    (tmp_path / "more.conf").write_text("maxmemory 100mb\n")
    (tmp_path / "redis.conf").write_text(
        f'# a comment\nport {port}\nbind {HOST} -::1\ndir "{tmp_path}/data"\nsave ""\n'
        'requirepass "open sesame"\nappendonly yes\ninclude more.conf\nmaxmemory-policy allkeys-lru\n'
    )
    with serve("redis-server", "redis.conf", "--maxmemory-policy", "volatile-ttl", "--hz", 20) as process:
        r = redis.Redis(port=port, password="open sesame", decode_responses=True)
        assert r.config_get("maxmemory*")["maxmemory"] == str(100 << 20)
        assert r.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-ttl"}
        assert r.config_get("hz") == {"hz": "20"} and HOST in r.config_get("bind")["bind"].split()
        assert r.set("kept", "yes")
        assert listening_ports(process.pid) == {port}
    assert (tmp_path / "data" / "appendonlydir").is_dir()


def test_zk_server_reads_its_file(serve, tmp_path):
    port = free_port()
    (tmp_path / "my.cfg").write_text(
        f"tickTime=1500\ninitLimit=10\nsyncLimit=5\ndataDir={tmp_path}/z\nclientPort={port}\nclientPortAddress={HOST}\n"
    )
    with serve("zkServer.sh", "start-foreground", "my.cfg") as process:
        assert b"tickTime=1500" in exchange(port, b"conf")
        assert listening_ports(process.pid) == {port}
    assert (tmp_path / "z" / "coord").is_dir()


def test_zk_server_takes_a_log_directory_that_is_the_data_directory(serve, call, tmp_path):
    settings = f"dataLogDir={tmp_path}/z\ndataDir={tmp_path}/z\nclientPort={free_port()}\nclientPortAddress={HOST}\n"
    (tmp_path / "my.cfg").write_text(settings)
    with serve("zkServer.sh", "my.cfg"):
        assert (tmp_path / "z" / "coord").is_dir()
    (tmp_path / "my.cfg").write_text(settings + f"dataDir={tmp_path}/other\n")
    ended = call("zkServer.sh", "my.cfg")
    assert ended.returncode == 1
    assert f"my.cfg:1: dataLogDir is the same as dataDir here, not '{tmp_path}/z'" in ended.stderr


def test_kafka_server_start_reads_its_file_and_overrides(serve, tmp_path):
    port = free_port()
    (tmp_path / "server.properties").write_text(
        "! a comment\nprocess.roles=broker,controller\nnode.id = 7\ncontroller.quorum.voters=7@localhost:9093\n"
        f"listeners=PLAINTEXT://{HOST}:{port},CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER\n"
        f"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\nlog.dirs={tmp_path}/logs\n"
    )
    with serve("kafka-server-start", "server.properties", "--override", f"advertised.listeners=PLAINTEXT://localhost:{port}") as process:
        brokers = AdminClient({"bootstrap.servers": f"{HOST}:{port}"}).list_topics(timeout=60).brokers
        assert [(broker.id, broker.host, broker.port) for broker in brokers.values()] == [(7, "localhost", port)]
        assert listening_ports(process.pid) == {port}
    assert (tmp_path / "logs" / "meta.properties").is_file()


@pytest.mark.parametrize(
    "name, text, args, told",
    [
        ("redis-server", "port 1\nnosuch 1\n", [], ":2: unknown directive 'nosuch'"),
        ("redis-server", 'requirepass "open\n', [], ":1: a quote is not closed"),
        ("redis-server", "daemonize yes\n", [], ":1: daemonize: only 'no' fits"),
        ("redis-server", "include given.conf\n", [], "too deep"),
        ("redis-server", "port 0\n", ["rubbish"], "expected --DIRECTIVE, not rubbish"),
        ("zkServer", "tickTime\n", [], ":1: expected NAME=VALUE, not tickTime"),
        ("zkServer", "tickTime=soon\n", [], "tickTime: 'soon'"),
        ("kafka-server-start", "zookeeper.connect=here:2181\n", [], ":1: unknown setting 'zookeeper.connect'"),
        ("kafka-server-start", "listeners=SSL://:9093\n", [], "only PLAINTEXT"),
        ("kafka-server-start", "listeners=PLAINTEXT://:x\n", [], "one PLAINTEXT://host:port"),
        ("kafka-server-start", "node.id=1\n", ["--override"], "expected --override NAME=VALUE"),
    ],
    ids=lambda value: str(value).strip()[:30],
)
def test_what_does_not_fit_is_one_line_that_says_where(call, tmp_path, name, text, args, told):
    (tmp_path / "given.conf").write_text(text)
    done = call(name, "given.conf", *args)
    assert done.returncode != 0 and done.stdout == ""
    assert told in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.parametrize("name", ["redis-server", "zkServer", "kafka-server-start.sh"])
def test_version_and_help_are_printed_under_each_name(call, name):
    assert "trivet" in call(name, "--version").stdout
    assert name.removesuffix(".sh") in call(name, "--help").stdout


def test_several_addresses_share_a_port_and_one_that_is_not_there_may_be_optional():
    with Trivet(args=["--bind", f"{HOST} 127.0.0.2 -192.0.2.1"]) as server:
        server.start()
        for host in (HOST, "127.0.0.2"):
            assert redis.Redis(host=host, port=server.port_of("redis")).ping()
            assert exchange(server.port_of("zookeeper"), b"ruok", host=host) == b"imok"
            assert b"200" in exchange(server.port_of("http"), b"GET /healthz HTTP/1.0\r\n\r\n", host=host)

"""Called by the name of an original, the program takes that one's configuration file and flags and is only that."""

import contextlib
import os
import signal
import socket
import subprocess
import time

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
    def running(name, *args, **environment):
        link = tmp_path / name
        link.symlink_to(binary())
        process = subprocess.Popen(
            [link, *map(str, args)], cwd=tmp_path, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        try:
            awaited = [f" PID: {process.pid}\n", "Server initialized\n", "Ready to accept connections\n"]
            for line in process.stdout:  # the log is there, too
                if awaited[0] in line:
                    awaited.pop(0)
                if not awaited:
                    break
            assert not awaited
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
    assert "redis.conf:1: a quote is not closed, something stands right behind it" in ended.stderr and "requirepass" in ended.stderr


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


def test_zk_server_takes_the_file_that_debian_s_has(serve, tmp_path):
    """With the log in the data directory, and beside it; and names that mean nothing here."""
    idle = "autopurge.snapRetainCount=3\nautopurge.purgeInterval=1\nadmin.serverPort=8081\npreAllocSize=65536\n"
    settings = f"dataLogDir={tmp_path}/z\ndataDir={tmp_path}/z\nclientPort={free_port()}\nclientPortAddress={HOST}\n"
    (tmp_path / "my.cfg").write_text(settings + idle)
    with serve("zkServer.sh", "my.cfg"):
        assert (tmp_path / "z" / "coord" / "log").is_dir()
    (tmp_path / "my.cfg").write_text(settings + f"dataDir={tmp_path}/other\ndataLogDir={tmp_path}/log\n")
    with serve("zkServer", "my.cfg"):
        assert (tmp_path / "other" / "coord").is_dir() and (tmp_path / "log" / "coord" / "log").is_dir()


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
        ("redis-server", "daemonize perhaps\n", [], ":1: daemonize 'perhaps': argument must be 'yes' or 'no'"),
        ("redis-server", "include given.conf\n", [], "too deep"),
        ("redis-server", "port 0\n", ["rubbish"], "unknown directive 'rubbish'"),
        ("zkServer", "tickTime\n", [], ":1: expected NAME=VALUE, not tickTime"),
        ("zkServer", "tickTime=soon\n", [], "tickTime: 'soon'"),
        ("kafka-server-start", "zookeeper.connect=here:2181\n", [], ":1: unknown setting 'zookeeper.connect'"),
        ("kafka-server-start", "listeners=PLAINTEXT://:x\n", [], "NAME://host:port"),
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


@pytest.mark.parametrize("name, config", [("redis-server", "/etc/redis/redis.conf"), ("valkey-server", "/etc/valkey/valkey.conf")])
def test_the_file_of_the_package_is_accepted(serve, tmp_path, name, config):
    if not os.path.exists(config):
        pytest.skip(f"{config} is not installed")
    port = free_port()
    flags = ("--port", port, "--dir", tmp_path, "--daemonize", "no", "--logfile", "", "--pidfile", tmp_path / "pid")
    with serve(name, config, *flags) as process:
        with redis.Redis(port=port, decode_responses=True) as one:
            assert one.config_get("maxmemory")["maxmemory"] == "0"
            assert one.config_get("replica-priority")["replica-priority"] == "100"
            assert one.config_get("appendonly")["appendonly"] == "no"
            assert one.config_get("save")["save"] == "3600 1 300 100 60 10000"
        assert (tmp_path / "pid").read_text() == f"{process.pid}\n"
    assert not (tmp_path / "pid").exists()


@pytest.mark.parametrize(
    "line, told",
    [
        ("cluster-enabled yes", 'there is no cluster in this version: only "no" fits'),
        ("replicaof 127.0.0.1 7000", "there is no replication"),
        ("save 900", "Invalid save parameters"),
        ("client-output-buffer-limit pubsub", "Wrong number of arguments"),
        ("client-output-buffer-limit master 0 0 0", "Invalid client class"),
        ("client-output-buffer-limit normal 10mbs 0 0", "Error in hard, soft or soft_seconds"),
        ("oom-score-adj-values 0 200", "wrong number of arguments"),
        ("supervised bystander", "upstart, systemd, auto, no"),
        ('requirepass "a\\x00b"', "x00"),
    ],
)
def test_what_is_not_there_is_refused_with_the_reason(call, tmp_path, line, told):
    (tmp_path / "redis.conf").write_text(f"port 0\n{line}\n")
    done = call("valkey-server", "redis.conf")
    assert done.returncode != 0 and "redis.conf:2" in done.stderr and told in done.stderr


def test_a_tls_port_needs_a_certificate(call, tmp_path):
    (tmp_path / "redis.conf").write_text("port 0\ntls-port 6380\n")
    done = call("valkey-server", "redis.conf")
    assert done.returncode != 0 and "No tls-cert-file configured!" in done.stderr


@pytest.mark.parametrize("line", ["client-output-buffer-limit replica 268435456 64mb 60 pubsub 32mb 8mb 60", "repl-backlog-size 10485760"])
def test_sizes_are_compared_by_what_they_mean(serve, tmp_path, line):
    (tmp_path / "redis.conf").write_text(f"port {free_port()}\n{line}\n")
    with serve("redis-server", "redis.conf"):
        pass


def test_appendonly_no_is_taken_when_no_snapshot_was_expected_either(serve, tmp_path):
    port = free_port()
    (tmp_path / "redis.conf").write_text(f'port {port}\nappendonly no\nsave ""\n')
    with serve("redis-server", "redis.conf"), redis.Redis(port=port, decode_responses=True) as one:
        assert one.config_get("appendonly") == {"appendonly": "no"}


def test_a_flag_may_bring_its_value_in_the_same_argument(serve):
    port = free_port()
    with serve("valkey-server", f"--port {port}", "--maxmemory 700mb", "--notify-keyspace-events", "KEA", '--requirepass "a b"'):
        with redis.Redis(port=port, password="a b", decode_responses=True) as one:
            assert one.config_get("maxmemory") == {"maxmemory": str(700 << 20)}


def test_in_the_background_the_log_and_the_process_id_have_files(call, tmp_path):
    port, log, pid_file = free_port(), tmp_path / "log", tmp_path / "pid"
    done = call("redis-server", "--port", port, "--daemonize", "yes", "--logfile", log, "--pidfile", pid_file)
    assert done.returncode == 0 and done.stdout == ""
    deadline = time.monotonic() + 30
    while not (pid_file.exists() and pid_file.read_text().endswith("\n")):
        assert time.monotonic() < deadline, log.read_text() if log.exists() else "nothing was logged"
        time.sleep(0.01)
    pid = int(pid_file.read_text())
    assert pid != os.getpid() and os.getsid(pid) == pid
    with redis.Redis(port=port, decode_responses=True) as one:
        assert one.ping()
        one.shutdown(nosave=True)
    said = [line for line in log.read_text().splitlines() if " reactor " not in line]  # what only a busy machine says
    at = said.index("Server initialized")
    assert said[at - 1].endswith(f" PID: {pid}") and said[at + 1] == "Ready to accept connections"


def test_systemd_is_told_when_asked_to(serve, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        with serve("redis-server", "--port", free_port(), "--supervised", "systemd", NOTIFY_SOCKET=str(tmp_path / "notify")):
            assert b"READY=1\n" in listener.recv(1000)


@pytest.mark.parametrize("name", ["redis-cli", "valkey-benchmark", "redis-check-aof", "valkey-sentinel", "zkCli.sh"])
def test_other_programs_of_the_originals_are_not_it(call, name):
    done = call(name)
    assert done.returncode == 2 and name.removesuffix(".sh") in done.stderr

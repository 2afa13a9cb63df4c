"""redis-cli, the program that people type into, and what people build on from Node.js."""

import os
import pathlib
import shutil
import subprocess

import pytest

CLIENTS = pathlib.Path(__file__).resolve().parents[2] / "clients" / "node"
NODE_MODULES = pathlib.Path(__file__).resolve().parents[3] / ".cache" / "node" / "node_modules"


@pytest.fixture
def cli(redis_server, r3):
    if not shutil.which("redis-cli"):
        pytest.skip("no redis-cli installed")

    def run(*args, stdin=None):
        command = ["redis-cli", "-h", redis_server.host, "-p", str(redis_server.port_of("redis")), *args]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=True).stdout

    return run


def test_commands_and_their_replies(cli):
    assert cli("SET", "k", "v") == "OK\n"
    assert cli("GET", "k") == "v\n"
    assert cli("-3", "HSET", "h", "f", "1") == "1\n"
    assert cli("-3", "--json", "HGETALL", "h") == '{"f":"1"}\n'
    assert "(integer) 3" in cli(stdin="RPUSH l a b c\n") or cli("LLEN", "l") == "3\n"


def test_pipe_mode_loads_in_bulk(cli):
    lines = "".join(f"SET key:{n} {n}\r\n" for n in range(5000))
    assert "errors: 0, replies: 5000" in cli("--pipe", stdin=lines)
    assert cli("DBSIZE") == "5000\n"


def test_scan_and_big_keys_walk_the_keyspace(cli):
    cli("MSET", *[word for n in range(50) for word in (f"user:{n}", "x" * n)])
    assert len(cli("--scan", "--pattern", "user:*").split()) == 50
    assert "Biggest string found" in cli("--bigkeys")


def test_an_x_argument_comes_from_standard_input(cli):
    cli("-x", "SET", "k", stdin="from stdin")
    assert cli("STRLEN", "k") == "10\n"


def test_errors_are_shown_as_the_server_worded_them(cli):
    assert cli("INCR", "a", "b").startswith("ERR wrong number of arguments for 'incr' command")


def run_script(name, module, server):
    if not shutil.which("node") or not (NODE_MODULES / module).exists():
        pytest.skip("no Node.js packages: run tools/install test")
    done = subprocess.run(
        ["node", CLIENTS / name, server.host, str(server.port_of("redis"))],
        env=os.environ | {"NODE_PATH": str(NODE_MODULES)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.count("ok ")


def test_ioredis_runs_its_script(redis_server, r3):
    assert run_script("ioredis_checks.js", "ioredis", redis_server) >= 4


def test_bullmq_does_its_jobs(redis_server, r3):
    assert run_script("bullmq_checks.js", "bullmq", redis_server) >= 9


def test_sessions_and_rate_limits_of_sites_are_kept(redis_server, r3):
    assert run_script("web_checks.js", "connect-redis", redis_server) >= 5

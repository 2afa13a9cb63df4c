"""Settings of the process, of its log, its end and its file; and those that are only kept."""

import contextlib
import grp
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest
import redis
from harness.crc64 import crc64
from harness.process import free_port
from harness.trivet import ROOT, binary

pytestmark = pytest.mark.trivet_only


def client(server, **options):
    return redis.Redis(host=server.host, port=server.port_of("redis"), decode_responses=True, **options)


@pytest.fixture
def called(tmp_path):
    """called(name, *args): as a context, the program by that name and a client of it."""

    @contextlib.contextmanager
    def running(name, *args, port=None, password=None):
        port = free_port() if port is None else port
        link = tmp_path / name
        link.exists() or link.symlink_to(binary())
        given = () if args and (not args[0].startswith("-") or "--port" in args) else ("--port", port)
        with open(tmp_path / "out", "w") as out:
            process = subprocess.Popen([link, *map(str, (*args, *given))], cwd=tmp_path, stdout=out)
        with redis.Redis(port=port, password=password, decode_responses=True) as one:
            try:
                until_ready(process, tmp_path)
                yield process, one
            finally:
                process.kill()
                process.wait()

    return running


def until_ready(process, folder):
    """The words are on standard output, or where that was turned to."""
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if any("Ready to accept" in path.read_text() for path in (folder / "out", folder / "log") if path.exists()):
            return
        time.sleep(0.01)
    raise AssertionError(f"it is not ready: {process.poll()}")


def kept_settings():
    text = (ROOT / "src/redis/config/config_kept.c").read_text()
    return re.findall(r'^    (?:KEPT|ONLY|CHECKED)\w*\("([^"]+)"', text, re.M)


def test_what_changes_nothing_stands_in_the_documentation():
    told = set(re.findall(r"[a-z][a-z0-9-]+", (ROOT / "docs/redis.md").read_text()))
    assert len(kept_settings()) > 100
    assert [name for name in kept_settings() if name not in told] == []


def test_hidden_settings_answer_to_their_whole_name_alone(launch):
    r = client(launch("redis", appendonly="no"))
    assert r.config_get("debug-context") == {"debug-context": ""}
    assert r.config_get("debug-contex?") == {} and "debug-context" not in r.config_get("*")


@pytest.mark.parametrize("value, expected", [("logfmt", r'pid=\d+ role=primary timestamp="\d{13}" level=notice module=redis message="'),
                                             ("json", r'\{"pid":\d+,"role":"primary","timestamp":"\d{13}","level":"notice"')])  # fmt: skip
def test_lines_of_the_log_have_the_form_that_is_asked_for(called, tmp_path, value, expected):
    flags = ("--log-format", value, "--log-timestamp-format", "milliseconds", "--logfile", "log", "--shutdown-on-sigint", "force")
    with called("redis-server", *flags) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    lines = (tmp_path / "log").read_text().splitlines()
    about = [line for line in lines if "a signal asks for the end" in line]
    assert len(about) == 1 and re.match(expected, about[0]), lines
    if value == "json":
        assert json.loads(about[0])["message"] == "a signal asks for the end signal=SIGINT"


@pytest.mark.parametrize("asked, save, kept", [("default", "", False), ("default", "3600 1", True), ("save", "", True),
                                               ("nosave", "3600 1", False), ("nosave now", "3600 1", False)])  # fmt: skip
def test_a_signal_saves_as_it_is_told_to(called, tmp_path, asked, save, kept):
    flags = ("--appendonly", "no", "--save", save, "--shutdown-on-sigterm", asked)
    with called("redis-server", *flags) as (process, one):
        assert one.config_get("shutdown-on-sigterm")["shutdown-on-sigterm"] == asked
        one.set("k", "v")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert bool(list(tmp_path.rglob("dump.rdb"))) == kept


def test_a_snapshot_that_cannot_be_written_keeps_the_server_unless_it_is_forced(called, eventually, tmp_path):
    with called("redis-server", "--appendonly", "no", "--save", "3600 1", "--logfile", "log") as (process, one):
        one.set("k", "v")
        assert one.config_get("dir") == {"dir": str(tmp_path)}
        target = tmp_path / "dump.rdb"
        (target / "in the way").mkdir(parents=True)
        process.send_signal(signal.SIGTERM)
        eventually(lambda: "so the server goes on" in (tmp_path / "log").read_text())
        assert one.get("k") == "v"
        assert one.config_set("shutdown-on-sigterm", "force")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_both_save_and_nosave_cannot_be_asked_for(launch):
    with pytest.raises(redis.ResponseError, match="SAVE and NOSAVE can't be used simultaneously"):
        client(launch("redis", appendonly="no")).config_set("shutdown-on-sigint", "save nosave")


def test_the_zone_is_told_to_who_says_hello(launch):
    r = client(launch("redis", appendonly="no", **{"availability-zone": "eu-1"}))
    assert r.info("server")["availability_zone"] == "eu-1"
    greeting = r.execute_command("HELLO", 2)
    assert greeting[-2:] == ["availability_zone", "eu-1"]
    r.config_set("availability-zone", "")
    assert "availability_zone" not in r.execute_command("HELLO", 2)


def test_servers_of_one_hash_seed_scan_in_one_order(launch):
    orders = []
    for seed in ("one", "one", "two"):
        r = client(launch("redis", appendonly="no", **{"hash-seed": seed}))
        r.mset({f"key:{i}": i for i in range(200)})
        orders.append(list(r.scan_iter(count=1000)))
    assert orders[0] == orders[1] != orders[2] and sorted(orders[1]) == sorted(orders[2])


def test_payloads_of_later_versions_are_read_where_that_is_allowed(launch):
    r = redis.Redis(port=launch("redis", appendonly="no", **{"enable-debug-command": "yes"}).port_of("redis"))
    r.set("k", "v")
    body = r.dump("k")[:-10] + (99).to_bytes(2, "little")
    later = body + crc64(body).to_bytes(8, "little")
    with pytest.raises(redis.ResponseError, match="DUMP payload version or checksum are wrong"):
        r.restore("later", 0, later)
    r.config_set("rdb-version-check", "relaxed")
    assert r.restore("later", 0, later) and r.get("later") == b"v"
    with pytest.raises(redis.ResponseError, match="DUMP payload version or checksum are wrong"):
        r.restore("damaged", 0, later[:-1] + bytes([later[-1] ^ 1]))
    assert r.execute_command("DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", 1)
    assert r.restore("damaged", 0, later[:-1] + bytes([later[-1] ^ 1])) and r.get("damaged") == b"v"


def test_replicas_that_must_be_there_and_are_not_refuse_writes(launch):
    r = client(launch("redis", appendonly="no"))
    r.set("k", "v")
    r.config_set("min-replicas-to-write", 1)
    for command in (("SET", "k", "w"), ("EVAL", "return redis.call('set','k','w')", 0), ("EVAL", "#!lua\nreturn 1", 0)):
        with pytest.raises(redis.ResponseError, match="NOREPLICAS|Not enough good replicas"):
            r.execute_command(*command)
    assert r.get("k") == "v" and r.eval("#!lua flags=no-writes\nreturn 1", 0) == 1
    r.config_set("min-replicas-to-write", 0)
    assert r.set("k", "w")


GIVEN = """\
# mine
port {port}
maxmemory 100mb   # not a comment

requirepass old
  hz 20
save 900 1
save 300 10
save 60 10000
slave-priority 7
maxmemory 200mb
"""


def test_a_rewritten_file_keeps_comments_and_says_what_is(called, tmp_path):
    port = free_port()
    path = tmp_path / "redis.conf"
    path.write_text(GIVEN.format(port=port).replace("   # not a comment", ""))
    with called("redis-server", "redis.conf", port=port, password="old") as (_, one):
        assert one.info("server")["config_file"] == str(path)
        one.config_set("save", "100 1 20 3")
        one.config_set("requirepass", 'a "b\\')
        one.config_set("maxmemory-policy", "allkeys-lru")
        one.config_set("notify-keyspace-events", "KEA")
        one.config_set("client-output-buffer-limit", "pubsub 1mb 1mb 9")
        assert one.config_rewrite()
        before = one.config_get("*")
    first, _, rest = path.read_text().partition("# Generated by CONFIG REWRITE\n")
    assert first == (f'# mine\nport {port}\nmaxmemory 209715200\n\nrequirepass "a \\"b\\\\"\nhz 20\nsave 100 1\nsave 20 3\n'
                     "slave-priority 7\n")  # fmt: skip
    assert {"maxmemory-policy allkeys-lru", "client-output-buffer-limit pubsub 1048576 1048576 9"} <= set(rest.splitlines())
    with called("redis-server", "redis.conf", port=port, password='a "b\\') as (_, one):
        assert one.config_get("*") == before
        assert one.config_rewrite()
    assert path.read_text() == first + "# Generated by CONFIG REWRITE\n" + rest


def test_snapshots_go_to_the_directory_that_is_set(launch, tmp_path):
    r = client(launch("redis", **{"enable-protected-configs": "yes"}))
    r.set("k", "v")
    with pytest.raises(redis.ResponseError, match="related to argument 'dir'. - No such file or directory"):
        r.config_set("dir", str(tmp_path / "missing"))
    assert r.config_set("dir", str(tmp_path)) and r.save()
    assert [path.name for path in tmp_path.iterdir()] == ["dump.rdb"]
    assert r.config_get("dir") == {"dir": str(tmp_path)}


def test_a_socket_with_a_path_serves_beside_the_port_and_alone(called, tmp_path):
    flags = ("--unixsocket", "s.sock", "--unixsocketperm", "710", "--unixsocketgroup", grp.getgrgid(os.getgid()).gr_name)
    for port in (free_port(), 0):
        with called("redis-server", *flags, "--port", port, port=port) as (process, one):
            path = tmp_path / "s.sock"
            mode = path.stat()
            assert stat.S_ISSOCK(mode.st_mode) and stat.S_IMODE(mode.st_mode) == 0o710 and path.group() == flags[-1]
            with redis.Redis(unix_socket_path=str(path), decode_responses=True) as near:
                assert near.ping()
                about = near.client_list()[-1]
                assert (about["addr"], about["laddr"], about["flags"]) == (f"{path}:0", f"{path}:0", "U")
                assert near.config_get("unixsocketperm") == {"unixsocketperm": "710"}
                assert near.info("server")["tcp_port"] == port
                if port:
                    assert one.ping() and one.client_list()[-1]["flags"] == "N"
            process.terminate()
            assert process.wait(60) == 0
        assert not path.exists()


def test_a_socket_that_cannot_be_made_is_told(tmp_path):
    for flag, value in (("unixsocket", tmp_path / "missing" / "s"), ("unixsocketgroup", "no such group")):
        options = {"unixsocket": tmp_path / "s", flag: value}
        command = [binary(), "--data", tmp_path, "--redis.port", "0", *(str(w) for k, v in options.items() for w in (f"--redis.{k}", v))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode != 0 and "cannot open the socket" in done.stderr


def test_threads_of_the_originals_become_carriers(called):
    with called("redis-server", "--io-threads", 3) as (process, one):
        assert one.config_get("io-threads") == {"io-threads": "3"}
        names = [path.read_text().strip() for path in pathlib.Path(f"/proc/{process.pid}/task").glob("*/comm")]
        assert len([name for name in names if "carrier" in name]) == 2, names
        with pytest.raises(redis.ResponseError, match="can't set immutable config"):
            one.config_set("io-threads", 2)


@pytest.mark.skipif(not shutil.which("ss"), reason="nothing else tells how long it is")
def test_the_backlog_is_as_long_as_it_is_told_to_be(launch):
    server = launch("redis", appendonly="no", **{"tcp-backlog": 37})
    port = server.port_of("redis")
    told = subprocess.run(["ss", "-ltn", f"sport = :{port}"], capture_output=True, text=True)
    assert told.stdout.splitlines()[1].split()[2] == "37"


def test_few_connections_a_turn_are_enough(launch):
    server = launch("redis", appendonly="no", **{"max-new-connections-per-cycle": 1})
    crowd = [client(server, single_connection_client=True) for _ in range(50)]
    assert all(one.ping() for one in crowd) and crowd[0].config_set("max-new-connections-per-cycle", 1000)
    for one in crowd:
        one.close()


def score_of(process):
    return int(pathlib.Path(f"/proc/{process.pid}/oom_score_adj").read_text())


def test_the_kernel_is_told_who_goes_first_for_want_of_memory(called):
    with called("redis-server", "--oom-score-adj", "relative", "--oom-score-adj-values", "7 200 800") as (process, one):
        before = score_of(process) - 7
        one.execute_command("CONFIG", "SET", "oom-score-adj-values", "9 20 30", "oom-score-adj", "yes")
        assert score_of(process) == before + 9
        one.execute_command("CONFIG", "SET", "oom-score-adj", "absolute", "oom-score-adj-values", f"{before + 12} 20 30")
        assert score_of(process) == before + 12
        with pytest.raises(redis.ResponseError, match="related to argument 'oom-score-adj-values'. - Invalid oom-score-adj-values"):
            one.config_set("oom-score-adj-values", "1 2 3000")
        with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(redis.ResponseError, match="related to argument 'port'"):
            one.execute_command("CONFIG", "SET", "oom-score-adj-values", f"{before + 90} 1 1", "port", taken.getsockname()[1])
        assert score_of(process) == before + 12
        one.config_set("oom-score-adj", "no")
        assert score_of(process) == before


def test_a_snapshot_takes_as_long_as_its_keys_are_told_to_take(launch, eventually):
    r = client(launch("redis", appendonly="no"))
    r.mset({f"k{i}": i for i in range(50)})
    r.config_set("rdb-key-save-delay", 10_000_000)
    assert r.bgsave()
    assert r.set("other", "v") and r.info("persistence")["rdb_bgsave_in_progress"] == 1
    r.config_set("rdb-key-save-delay", 0)
    eventually(lambda: r.info("persistence")["rdb_bgsave_in_progress"] == 0)
    assert r.info("persistence")["rdb_last_bgsave_status"] == "ok"


def test_a_rewrite_behind_a_snapshot_is_scheduled(launch, eventually):
    r = client(launch("redis"))
    r.set("k", "v")
    r.config_set("rdb-key-save-delay", 10_000_000)
    assert r.bgsave()
    assert r.bgrewriteaof()
    assert r.info("persistence")["aof_rewrite_scheduled"] == 1
    r.config_set("rdb-key-save-delay", 0)
    eventually(lambda: r.info("persistence")["aof_rewrite_scheduled"] == 0 and not r.info("persistence")["aof_rewrite_in_progress"])


def test_what_was_flushed_does_not_come_back_from_a_snapshot(launch):
    server = launch("redis", appendonly="no", save="3600 1000")
    r = client(server)
    r.set("k", "v")
    assert r.save() and r.flushall()
    assert r.info("persistence")["rdb_changes_since_last_save"] == 0
    server.kill9()
    server.start()
    assert client(server).dbsize() == 0


def test_a_file_can_be_rewritten_with_all_that_there_is(called, tmp_path):
    port = free_port()
    path = tmp_path / "redis.conf"
    path.write_text(f"port {port}\nenable-debug-command yes\n")
    with called("redis-server", "redis.conf", port=port) as (_, one):
        assert one.execute_command("DEBUG", "CONFIG-REWRITE-FORCE-ALL") == "OK"
        before = one.config_get("*")
    assert len(path.read_text().splitlines()) > 200
    with called("redis-server", "redis.conf", port=port) as (_, one):
        assert one.config_get("*") == before


def test_bind_is_told_as_it_was_given(called):
    with called("redis-server", "--bind", "127.0.0.1 -::1") as (_, one):
        assert one.config_get("bind") == {"bind": "127.0.0.1 -::1"}
    with called("redis-server") as (_, one):
        assert one.config_get("bind") == {"bind": "* -::*"}


def test_a_rewrite_is_done_while_the_append_only_file_is_off(launch, eventually):
    r = client(launch("redis", appendonly="no", **{"enable-debug-command": "yes"}))
    r.mset({"a": 1, "b": 2})
    for wanted in ({"a", "b"}, {"a", "b", "c"}):
        assert r.bgrewriteaof()
        eventually(lambda: r.info("persistence")["aof_enabled"] == 0)
        r.set("late", "not in it")
        assert r.execute_command("DEBUG", "LOADAOF") and set(r.keys()) == wanted
        assert r.config_get("appendonly") == {"appendonly": "no"}
        r.set("c", 3)


def test_no_save_points_are_none_after_a_restart_too(called, tmp_path):
    port = free_port()
    (tmp_path / "redis.conf").write_text(f"port {port}\nappendonly no\n")
    with called("redis-server", "redis.conf", port=port) as (_, one):
        assert one.config_get("save") == {"save": "3600 1 300 100 60 10000"}
        assert one.config_set("save", "") and one.config_rewrite()
    with called("redis-server", "redis.conf", port=port) as (_, one):
        assert one.config_get("save") == {"save": ""}
        assert one.config_set("save", "900 1 9 9") and one.config_rewrite()
    with called("redis-server", "redis.conf", port=port) as (_, one):
        assert one.config_get("save") == {"save": "900 1 9 9"}

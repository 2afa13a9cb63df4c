"""A snapshot or an append-only file of either server is the other's data set: the same keys, values, times and functions."""

import contextlib
import os
import shutil
import subprocess

import pytest
import redis

from harness import originals, trivet
from harness.process import ServerError

from .test_dump import VALUES

LIBRARY = "#!lua name=lib\nredis.register_function('f', function() return 'hello' end)"
FAR = 9999999999000


@contextlib.contextmanager
def running(server):
    try:
        server.start()
        with redis.Redis(port=server.port_of("redis"), socket_timeout=60) as client:
            client.response_callbacks.pop("BGSAVE", None)
            yield client
    finally:
        server.close()


def fill(client):
    client.flushall()
    for number, (_, commands, _) in enumerate(VALUES):
        for command in commands:
            client.execute_command(*(f"k{number}" if word == "k" else word for word in command))
    client.pexpireat("k0", FAR)
    client.pexpireat("k20", FAR + 1)
    client.function_load(LIBRARY, replace=True)
    client.select(9)
    client.set("other", "database")
    client.select(0)


def seen(client):
    digest = client.execute_command("DEBUG", "DIGEST")
    return digest, client.dbsize(), client.pexpiretime("k0"), client.pexpiretime("k20"), client.fcall("f", 0)


def ours(tmp_path, **directives):
    data = tmp_path / "ours"
    return trivet.Trivet({"redis": {"enable-debug-command": "yes", **directives}}, data=data)


def theirs(tmp_path, **directives):
    if originals.available("redis"):
        pytest.skip("no original is installed")
    (tmp_path / "theirs").mkdir(exist_ok=True)
    return originals.Valkey(directives, data=tmp_path / "theirs")


def check_rdb(path):
    if found := shutil.which("valkey-check-rdb"):
        done = subprocess.run([found, path], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_original_reads_our_snapshot(tmp_path):
    with running(ours(tmp_path, appendonly="no")) as client:
        fill(client)
        assert client.save()
        written = seen(client)
    file = tmp_path / "ours/redis/dump.rdb"
    check_rdb(file)
    original = theirs(tmp_path)
    shutil.copy(file, tmp_path / "theirs/dump.rdb")
    with running(original) as client:
        assert seen(client) == written


def test_we_read_the_originals_snapshot(tmp_path):
    with running(theirs(tmp_path)) as client:
        fill(client)
        assert client.save()
        written = seen(client)
    (tmp_path / "ours").mkdir()
    shutil.copy(tmp_path / "theirs/dump.rdb", tmp_path / "ours/dump.rdb")
    with running(ours(tmp_path, appendonly="no")) as client:
        assert seen(client) == written
        assert client.info("persistence")["rdb_last_load_keys_loaded"] == client.dbsize() + 1


def test_an_append_only_file_begins_with_the_snapshot_that_is_there(tmp_path):
    with running(theirs(tmp_path)) as client:
        fill(client)
        assert client.save()
        written = seen(client)
    (tmp_path / "ours").mkdir()
    shutil.copy(tmp_path / "theirs/dump.rdb", tmp_path / "ours/dump.rdb")
    with running(ours(tmp_path)) as client:
        assert seen(client) == written
        client.set("later", "1")
    (tmp_path / "ours/dump.rdb").unlink()
    with running(ours(tmp_path)) as client:
        assert client.delete("later") == 1
        assert seen(client) == written


def test_we_start_on_the_originals_append_only_file(tmp_path):
    with running(theirs(tmp_path, appendonly="yes", **{"aof-use-rdb-preamble": "yes"})) as client:
        fill(client)
        client.bgrewriteaof()
        while client.info("persistence")["aof_rewrite_in_progress"] or client.info("persistence")["aof_rewrite_scheduled"]:
            pass
        client.set("after", "rewrite")
        written = seen(client)
    (tmp_path / "ours/redis").mkdir(parents=True)
    shutil.copytree(tmp_path / "theirs/appendonlydir", tmp_path / "ours/redis/appendonlydir")
    assert list((tmp_path / "ours/redis/appendonlydir").glob("*.base.rdb"))
    with running(ours(tmp_path)) as client:
        assert client.get("after") == b"rewrite"
        assert seen(client) == written


def test_debug_reload_changes_nothing(tmp_path):
    with running(ours(tmp_path)) as client:
        fill(client)
        before = seen(client)
        assert client.execute_command("DEBUG", "RELOAD") in (b"OK", True)
        assert seen(client) == before
    with running(ours(tmp_path)) as client:
        assert seen(client) == before


def test_save_points_write_the_last_snapshot(tmp_path):
    with running(ours(tmp_path, appendonly="no", save="3600 1")) as client:
        fill(client)
        written = seen(client)
    assert (tmp_path / "ours/redis/dump.rdb").exists()
    with running(ours(tmp_path, appendonly="no")) as client:
        assert seen(client) == written


@pytest.mark.parametrize(
    "harm, says",
    [
        (lambda data: data[: len(data) // 2], "ends early"),
        (lambda data: data[:-3], "ends early"),
        (lambda data: data.replace(b"database", b"databasf"), "damaged"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "damaged"),
        (lambda data: b"REDIS0099" + data[9:], "newer format"),
        (lambda data: b"nonsense" + data, "no snapshot"),
    ],
    ids=["half", "short", "flipped", "checksum", "newer", "nonsense"],
)
def test_a_bad_snapshot_is_refused_and_left_alone(tmp_path, harm, says):
    with running(ours(tmp_path, appendonly="no")) as client:
        fill(client)
        assert client.save()
    file = tmp_path / "ours/redis/dump.rdb"
    bad = harm(file.read_bytes())
    file.write_bytes(bad)
    with pytest.raises(ServerError, match=says):
        with running(ours(tmp_path, appendonly="no")):
            pass
    assert file.read_bytes() == bad
    assert os.listdir(tmp_path / "ours/redis").count("dump.rdb") == 1


def background_saved(client):
    while client.info("persistence")["rdb_bgsave_in_progress"]:
        pass
    assert client.info("persistence")["rdb_last_bgsave_status"] == "ok"


def test_a_background_snapshot_is_one_moment(tmp_path):
    keys = 20000
    with running(ours(tmp_path, appendonly="no")) as client:
        for value in ("old", "new"):
            if value == "new":
                pipe.execute_command("BGSAVE")
                pipe.execute_command("BGSAVE")
                begun, refused = pipe.execute(raise_on_error=False)  # in one turn: it may be written as soon as that ends
                assert begun == b"Background saving started"
                assert "Background save already in progress" in str(refused)
            pipe = client.pipeline(transaction=False)
            for number in range(keys):
                pipe.set(f"k{number}", value)
                pipe.rpush(f"l{number % 100}", value)
            pipe.execute()
        client.delete("k0", "l0")
        background_saved(client)
    with running(ours(tmp_path, appendonly="no")) as client:
        assert client.dbsize() == keys + 100
        assert set(client.mget(f"k{number}" for number in range(keys))) == {b"old"}
        assert all(set(client.lrange(f"l{number}", 0, -1)) == {b"old"} for number in range(100))


def test_a_background_snapshot_is_cancelled_scheduled_and_begun_again_after_a_flush(tmp_path):
    file = tmp_path / "ours/redis/dump.rdb"
    with running(ours(tmp_path, appendonly="yes")) as client:
        client.execute_command("DEBUG", "POPULATE", "100000")
        with pytest.raises(redis.ResponseError, match="Background saving is currently not in progress or scheduled"):
            client.execute_command("BGSAVE", "CANCEL")
        at_once = client.pipeline(transaction=False)  # in one turn: a snapshot may be written as soon as that ends
        at_once.execute_command("BGSAVE")
        at_once.execute_command("BGSAVE", "CANCEL")
        assert at_once.execute() == [b"Background saving started", b"Background saving cancelled"]
        assert not file.exists() and not client.info("persistence")["rdb_bgsave_in_progress"]
        at_once.execute_command("BGSAVE")
        at_once.flushall()
        at_once.set("left", "over")
        assert at_once.execute() == [b"Background saving started", True, True]
        while not file.exists():
            client.ping()
        background_saved(client)
        pipe = client.pipeline(transaction=True)
        pipe.execute_command("BGSAVE")
        assert pipe.execute() == [b"Background saving scheduled"]
    assert os.listdir(tmp_path / "ours/redis").count("temp-bgsave.rdb") == 0
    shutil.rmtree(tmp_path / "ours/redis/appendonlydir")
    with running(ours(tmp_path)) as client:
        assert client.keys() == [b"left"]

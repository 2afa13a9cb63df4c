"""The append-only file's manifest and what lies beside it, held against the original's refusals."""

import subprocess

import pytest

from harness import originals
from harness.crc64 import crc64
from harness.process import ServerError
from harness.trivet import Trivet, binary
from wire import resp

BASE, INCR = "appendonly.aof.1.base.aof", "appendonly.aof.1.incr.aof"
LISTED = f"file {BASE} seq 1 type b\nfile {INCR} seq 1 type i\n"
SET = resp.encode("SELECT", 0) + resp.encode("SET", "k", "v")
# What a manifest may not look like, and the original's words for it.
MANIFESTS = {
    "": "Found an empty AOF manifest",
    "\n": "Invalid AOF manifest file format",
    f"file {BASE} seq 1 type b\n\nfile {INCR} seq 1 type i\n": "Invalid AOF manifest file format",
    f"file {BASE} seq 1 type b\nfile {BASE} seq 2 type b\n": "Found duplicate base file information",
    f"file {BASE} seq 1 type b\nfile {INCR} seq 2 type i\nfile {INCR} seq 2 type i\n": "Found a non-monotonic sequence number",
    f"file {BASE} seq 1 type b\nfile {INCR} seq 1 type x\n": "Unknown AOF file type",
    f"file {BASE} seq 0 type b\n": "Invalid AOF manifest file format",
    f"file {BASE} type b\n": "Invalid AOF manifest file format",
    f"file a/{BASE} seq 1 type b\n": "File can't be a path, just a filename",
    f"file {BASE} seq 1 type b": "The AOF manifest file contains too long line",
    f"file {BASE} seq 1 type b" + " " * 1100 + "\n": "The AOF manifest file contains too long line",
}
OLD = {"appendonly.aof": "Redis before 7", "dump.rdb": "ends early"}


def lay_out(folder, manifest, incr=SET):
    folder.mkdir(parents=True)
    (folder / BASE).write_bytes(b"")
    (folder / INCR).write_bytes(incr)
    if manifest is not None:
        (folder / "appendonly.aof.manifest").write_text(manifest)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def trivet(tmp_path, **directives):
    return Trivet({"redis": {"appendonly": "yes", **directives}}, data=tmp_path / "data")


def check(folder):
    return subprocess.run([binary(), "check", folder], capture_output=True, text=True, timeout=60)


def refusal(server):
    with pytest.raises(ServerError):
        server.start()
    return server.log_tail(30)


@pytest.mark.trivet_only
@pytest.mark.parametrize("manifest", list(MANIFESTS), ids=range(len(MANIFESTS)))
def test_a_manifest_that_says_less_is_refused_in_the_originals_words(tmp_path, manifest):
    folder = tmp_path / "data" / "redis" / "appendonlydir"
    before = lay_out(folder, manifest)
    said = refusal(trivet(tmp_path))
    assert MANIFESTS[manifest] in said and "appendonly.aof.manifest" in said, said
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.trivet_only
@pytest.mark.skipif(originals.available("redis") is not None, reason="the original is not there")
def test_the_original_refuses_the_same_manifests_with_the_same_words(tmp_path):
    for number, (manifest, words) in enumerate(MANIFESTS.items()):
        data = tmp_path / str(number)
        lay_out(data / "appendonlydir", manifest)
        server = originals.ORIGINALS["redis"]({"appendonly": "yes", "aof-use-rdb-preamble": "no"}, data=data)
        assert words in refusal(server), manifest


@pytest.mark.trivet_only
@pytest.mark.parametrize("manifest", [None, "# nothing\n"])
def test_without_a_manifest_data_files_are_neither_passed_over_nor_written_over(tmp_path, manifest):
    folder = tmp_path / "data" / "redis" / "appendonlydir"
    before = lay_out(folder, manifest)
    said = refusal(trivet(tmp_path))
    assert INCR in said and "missing or names nothing" in said, said
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.trivet_only
def test_an_older_manifest_is_refused_and_a_base_before_its_manifest_is_kept(tmp_path):
    folder = tmp_path / "data" / "redis" / "appendonlydir"
    lay_out(folder, LISTED)
    later = folder / "appendonly.aof.2.incr.aof"
    later.write_bytes(SET)
    said = refusal(trivet(tmp_path))
    assert later.name in said, said
    later.unlink()
    base = folder / "appendonly.aof.2.base.aof"
    base.write_bytes(SET)
    with trivet(tmp_path).start() as server, resp.Connection(server.port_of("redis")) as redis:
        assert redis.ask("GET", "k") == ("$", b"v")
        redis.ask("BGREWRITEAOF")
        while b"aof_rewrite_in_progress:1" in redis.ask("INFO", "persistence")[1]:
            pass
        assert (folder / "appendonly.aof.3.base.rdb").exists()
        assert base.read_bytes() == SET


@pytest.mark.trivet_only
@pytest.mark.parametrize("where, name", [("data", "appendonly.aof"), ("data", "dump.rdb"), ("data/redis", "dump.rdb")])
def test_what_another_redis_left_is_refused_with_what_to_do(tmp_path, name, where):
    folder = tmp_path / where
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"REDIS0009 and so on")
    said = refusal(trivet(tmp_path))
    assert OLD[name] in said and "move" in said and name in said, said


def keys_of(server):
    with resp.Connection(server.port_of("redis")) as redis:
        return sorted(item[1] for item in redis.ask("KEYS", "*")[1])


@pytest.mark.trivet_only
@pytest.mark.parametrize("front", ["commands", "rdb"])
def test_the_one_file_of_an_older_redis_becomes_the_base(tmp_path, front):
    """Its tail is torn, as a crash leaves it; and the first start dies between the manifest and the move."""
    folder = tmp_path / "data" / "redis"
    folder.mkdir(parents=True)
    whole = resp.encode("SELECT", "0") + resp.encode("SET", "a", "1") + resp.encode("SET", "b", "2")
    if front == "rdb":
        body = b"REDIS0009\xfe\x00\x00\x01r\x01v\xff"
        whole = body + crc64(body).to_bytes(8, "little") + whole
    (folder / "appendonly.aof").write_bytes(whole + resp.encode("SET", "c", "3")[:-4])
    (folder / "dump.rdb").write_bytes(b"not to be read")
    (folder / "appendonlydir").mkdir()
    (folder / "appendonlydir" / "appendonly.aof.manifest").write_text("file appendonly.aof seq 1 type b\n")
    expected = [b"a", b"b"] + ([b"r"] if front == "rdb" else [])
    for _ in range(2):
        server = trivet(tmp_path).start()
        assert keys_of(server) == expected
        server.close()
    assert not (folder / "appendonly.aof").exists()
    assert (folder / "appendonlydir" / "appendonly.aof").read_bytes() == whole
    assert "file appendonly.aof seq 1 type b\n" in (folder / "appendonlydir" / "appendonly.aof.manifest").read_text()


@pytest.mark.trivet_only
def test_a_snapshot_and_an_old_file_are_checked_too(tmp_path):
    folder = tmp_path / "data" / "redis"
    folder.mkdir(parents=True)
    body = b"REDIS0011\xfe\x00\x00\x01k\x01v\xff"
    whole = body + crc64(body).to_bytes(8, "little")
    (folder / "dump.rdb").write_bytes(whole)
    (folder / "appendonly.aof").write_bytes(SET)
    done = check(tmp_path / "data")
    assert done.returncode == 0 and "redis/dump.rdb" in done.stdout and "1 keys" in done.stdout, done.stdout
    assert "redis/appendonly.aof" in done.stdout
    (folder / "dump.rdb").write_bytes(whole[:-9] + b"\x00" + whole[-8:])
    (folder / "appendonly.aof").write_bytes(SET + b"rubbish\r\n")
    done = check(tmp_path / "data")
    assert done.returncode != 0 and "redis/dump.rdb" in done.stdout and "redis/appendonly.aof" in done.stdout, done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["appendonly.aof", "dump.rdb"]


@pytest.mark.trivet_only
def test_another_redis_append_only_directory_is_not_passed_over(tmp_path):
    lay_out(tmp_path / "data" / "appendonlydir", LISTED)
    said = refusal(trivet(tmp_path))
    assert "is the append-only file of a Redis" in said and "redis/appendonlydir" in said, said


@pytest.mark.trivet_only
def test_a_file_that_lost_whole_commands_is_refused_and_one_torn_in_a_command_is_cut_with_a_copy(tmp_path):
    folder = tmp_path / "data" / "redis" / "appendonlydir"
    server = trivet(tmp_path, appendfsync="always").start()
    with resp.Connection(server.port_of("redis")) as redis:
        for number in range(100):
            redis.ask("SET", f"k{number}", "v")
    server.kill9()
    whole = (folder / INCR).read_bytes()
    last = len(resp.encode("SET", "k99", "v"))
    (folder / INCR).write_bytes(whole[:-last])
    said = refusal(server)
    assert INCR in said and f"{len(whole)} were on the disk" in said, said
    (folder / INCR).write_bytes(whole[:-5])
    with server.start(), resp.Connection(server.port_of("redis")) as redis:
        assert redis.ask("DBSIZE") == (":", 99)
        assert "warn" in server.log_tail() and "cut" in server.log_tail()
    assert (folder / f"{INCR}.cut-{len(whole) - last}").read_bytes() == whole[-last:-5]

"""`trivet check` and `trivet repair`: what they say of sound and of damaged directories, what they write, and whether a mended copy
serves all that they did not say was lost."""

import contextlib
import shutil
import subprocess

import pytest

from harness.trivet import Trivet, binary
from wire import jute, kafka, resp

pytestmark = pytest.mark.trivet_only
KEYS, NODES, RECORDS = 100, 60, 40


def tool(*words):
    done = subprocess.run([binary(), *map(str, words)], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def contents(data):
    return {path.relative_to(data): path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}


def topic(name):
    return {"name": name, "partitions": 1, "replication": 1, "assignments": [], "configs": []}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    data = tmp_path_factory.mktemp("tools") / "data"
    server = Trivet({"redis": {"appendonly": "yes", "appendfsync": "always"}}, data=data).start()
    with resp.Connection(server.port_of("redis")) as redis:
        for number in range(KEYS):
            redis.ask("SET", f"k{number}", f"v{number}")
    with contextlib.closing(jute.Connection(server.port_of("zookeeper"))) as zk:
        for number in range(NODES):
            assert zk.ask(jute.CREATE, jute.create(f"/n{number}", b"x"))[2] == 0
    with kafka.Connection(server.port_of("kafka")) as client:
        client.ask("CreateTopics", 5, topics=[topic("t")], timeout=10_000, validate=False)
        for number in range(RECORDS):
            parts = [{"index": 0, "records": kafka.batch([b"%d" % number])}]
            reply = client.ask("Produce", 9, transaction=None, acks=-1, timeout=5000, topics=[{"name": "t", "partitions": parts}])
            assert reply["topics"][0]["partitions"][0]["error"] == 0
    server.stop()
    return data


@pytest.fixture
def data(template, tmp_path):
    copy = tmp_path / "data"
    shutil.copytree(template, copy)
    return copy


def count(data):
    """What a server finds in the directory: keys, znodes, records."""
    with Trivet({"redis": {"appendonly": "yes"}}, data=data).start() as server:
        with resp.Connection(server.port_of("redis")) as redis:
            keys = redis.ask("DBSIZE")[1]
        with contextlib.closing(jute.Connection(server.port_of("zookeeper"))) as zk:
            nodes = sum(zk.ask(jute.EXISTS, jute.read(f"/n{number}"))[2] == 0 for number in range(NODES))
        with kafka.Connection(server.port_of("kafka")) as client:
            topics = [{"name": "t", "partitions": [{"index": 0, "epoch": -1, "time": -1}]}]
            reply = client.ask("ListOffsets", 5, replica=-1, isolation=0, topics=topics)
            part = reply["topics"][0]["partitions"][0]
        return keys, nodes, part["offset"] if part["error"] == 0 else None


def flip(path, share):
    raw = bytearray(path.read_bytes())
    end = len(raw.rstrip(b"\0"))
    raw[int(end * share)] ^= 8
    path.write_bytes(raw)


HARMED = {  # what is harmed, and what --cut and --salvage leave: keys, znodes, records (None = fewer than there were)
    "kafka/t-0/00000000000000000000.log": ((KEYS, NODES, None), (KEYS, NODES, RECORDS)),
    "coord/log/00000000000000000001.log": (None, None),
    "redis/appendonlydir/appendonly.aof.1.incr.aof": ((None, NODES, RECORDS), (None, NODES, RECORDS)),
}


def test_a_sound_directory_is_called_sound_and_nothing_is_written(data):
    before = contents(data)
    status, said = tool("check", data)
    assert status == 0 and "0 damaged" in said, said
    assert tool("repair", data)[0] == 0
    assert contents(data) == before
    assert not data.with_name("data.repaired").exists()


@pytest.mark.parametrize("name", list(HARMED))
def test_damage_is_reported_and_written_nowhere_unless_asked(data, name):
    raw = (data / name).read_bytes()
    head = raw.rstrip(b"\0")
    at = len(head) // 2
    if name.endswith(".aof"):
        at = head.index(b"\n*", at) + 1  # a command's beginning: what it holds cannot be noticed
    (data / name).write_bytes(raw[:at] + bytes([raw[at] ^ 8]) + raw[at + 1 :])
    before = contents(data)
    status, said = tool("check", data)
    assert status == 1 and f"DAMAGED {name}" in said, said
    status, said = tool("repair", data)
    assert status == 1 and "Nothing was written" in said, said
    assert contents(data) == before
    for how, left in zip(("--cut", "--salvage"), HARMED[name], strict=True):
        copy = data.with_name("data.repaired")
        status, said = tool("repair", data, how)
        assert status == 0 and "sound now" in said, said
        assert said.count("mended  ") == 1 and "trivet check" not in said, said
        assert contents(data) == before
        keys, nodes, records = count(copy)
        whole = (KEYS, NODES, RECORDS)
        for number, (there, all_of_it) in enumerate(zip((keys, nodes, records), whole, strict=True)):
            least = left[number] if left else None
            assert there is None or there <= all_of_it
            assert least is None or there == least, (how, number, there, said)
        if how == "--salvage":
            assert keys >= KEYS - 2 and nodes >= NODES - 1, (keys, nodes, said)
        shutil.rmtree(copy)


def test_a_missing_manifest_is_made_anew_from_the_files(data):
    (data / "redis/appendonlydir/appendonly.aof.manifest").unlink()
    status, said = tool("check", data)
    assert status == 1 and "trivet check" not in said, said
    status, said = tool("repair", data, "--cut")
    assert status == 0 and "made anew" in said, said
    assert count(data.with_name("data.repaired")) == (KEYS, NODES, RECORDS)


def test_a_directory_named_by_mistake_is_not_called_sound(tmp_path):
    (tmp_path / "notes").write_text("of somebody")
    for word in ("check", "repair"):
        status, said = tool(word, tmp_path)
        assert status == 3 and "is no data directory" in said, said


@pytest.mark.parametrize(("part", "name"), [
    ("redis", "appendonlydir/appendonly.aof.manifest"), ("kafka", "t-0/00000000000000000000.log"),
])  # fmt: skip
def test_files_of_one_wing_are_found_where_an_originals_configuration_puts_them(data, part, name):
    """redis-server's dir and Kafka's log.dirs hold them without a folder of the wing's name."""
    status, said = tool("check", data / part)
    assert status == 0 and f"{part}/{name}" in said, said
    (data / part / name).write_bytes(b"x" * 100)
    assert tool("check", data / part)[0] == 1
    status, said = tool("repair", data / part, "--salvage")
    assert status == 0 and "sound now" in said, said


def test_a_log_that_lies_elsewhere_is_checked_there_and_not_mended_in_a_copy_of_the_snapshots(tmp_path):
    places = {"dataDir": tmp_path / "tree", "dataLogDir": tmp_path / "log"}
    with Trivet({"zookeeper": places}, data=tmp_path / "trivet").start() as server:
        with contextlib.closing(jute.Connection(server.port_of("zookeeper"))) as zk:
            for number in range(NODES):
                assert zk.ask(jute.CREATE, jute.create(f"/n{number}", b"x"))[2] == 0
        server.stop()
    status, said = tool("check", tmp_path / "trivet")
    assert status == 0 and "zookeeper.dataDir" in said, said
    status, said = tool("check", tmp_path / "tree")
    assert status == 0 and "coord/log/" in said, said
    (log,) = (tmp_path / "log/coord/log").glob("*.log")
    flip(log, 0.5)
    before = contents(tmp_path / "log")
    status, said = tool("check", tmp_path / "tree")
    assert status == 1 and f"DAMAGED coord/log/{log.name}" in said, said
    status, said = tool("repair", tmp_path / "tree", "--cut")
    assert status == 3 and f"the log is in {tmp_path / 'log/coord'}" in said, said
    assert contents(tmp_path / "log") == before
    (tmp_path / "log").rename(tmp_path / "gone")
    status, said = tool("check", tmp_path / "tree")
    assert status == 1 and "which is not there" in said, said


@pytest.mark.parametrize("held", [None, b"REDIS0011 and so on"])
@pytest.mark.parametrize("how", ["--cut", "--salvage"])
def test_a_file_that_a_rewrite_had_replaced_costs_nothing(data, how, held):
    folder = data / "redis/appendonlydir"
    if held:
        (folder / "replaced.base.rdb").write_bytes(held)
    manifest = folder / "appendonly.aof.manifest"
    base, increment = manifest.read_text().splitlines(keepends=True)
    manifest.write_text(base + "file replaced.base.rdb seq 1 type h\n" + increment)
    with (folder / "appendonly.aof.1.incr.aof").open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n")
    status, said = tool("repair", data, how)
    assert status == 0 and "sound now" in said, said
    assert count(data.with_name("data.repaired")) == (KEYS, NODES, RECORDS)


@pytest.mark.parametrize("how", ["--cut", "--salvage"])
def test_a_snapshot_is_named_and_neither_cut_nor_emptied(data, how):
    folder = data / "redis/appendonlydir"
    manifest, snapshot = folder / "appendonly.aof.manifest", folder / "appendonly.aof.1.base.rdb"
    manifest.write_text(manifest.read_text().replace("1.base.aof", snapshot.name.partition("aof.")[2]))
    (folder / "appendonly.aof.1.base.aof").unlink()
    snapshot.write_bytes(b"REDIS0011\xfa\x09redis-ver\x057.2.4\r\n*1\r\n$4\r\nPING\r\n")
    status, said = tool("check", data)
    assert status == 1 and snapshot.name in said and "snapshot ends early" in said, said
    status, said = tool("repair", data, how)
    assert status == 1 and "could not be mended" in said, said
    copy = data.with_name("data.repaired") / "redis/appendonlydir"
    for path in (snapshot, folder / "appendonly.aof.1.incr.aof"):
        assert (copy / path.name).read_bytes() == path.read_bytes()


def test_a_running_server_is_left_alone(data):
    with Trivet(data=data).start():
        status, said = tool("check", data)
        assert status == 3 and "a server runs" in said, said


def test_wrong_words_are_told_how_it_is_used(tmp_path):
    for words in (["check"], ["repair", tmp_path, "--cut", "--salvage"], ["check", tmp_path, "--cut"], ["check", "a", "b"]):
        status, said = tool(*words)
        assert status == 2 and "usage" in said, said
    status, said = tool("check", tmp_path / "nowhere")
    assert status == 3 and "not found" in said, said
    status, said = tool("repair", "--help")
    assert status == 0 and "--salvage" in said, said

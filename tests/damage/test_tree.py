"""The coordination tree when the disk has less than was acknowledged, or something else: what the start says and does."""

import contextlib

import pytest

from harness.process import ServerError
from harness.trivet import Trivet
from wire import jute

pytestmark = pytest.mark.trivet_only


def create_all(server, count):
    """One by one: each is an entry of the log, and a write of its own."""
    with contextlib.closing(jute.Connection(server.port_of("zookeeper"))) as zk:
        for number in range(count):
            assert zk.ask(jute.CREATE, jute.create(f"/n{number}", b"x"))[2] == 0


def count_there(server, count):
    with contextlib.closing(jute.Connection(server.port_of("zookeeper"))) as zk:
        for number in range(count):
            zk.send(jute.EXISTS, jute.read(f"/n{number}"))
        return sum(zk.read_reply()[2] == 0 for _ in range(count))


def trivet(data, **zookeeper):
    return Trivet({"zookeeper": zookeeper}, data=data)


def refusal(server):
    with pytest.raises(ServerError):
        server.start()
    return server.log_tail(3)


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def test_a_flipped_bit_is_told_with_its_place_and_the_entries_behind_it(tmp_path):
    data = tmp_path / "data"
    server = trivet(data).start()
    create_all(server, 1000)
    server.kill9()
    (log,) = (data / "coord" / "log").glob("*.log")
    written = len(log.read_bytes().rstrip(b"\0"))
    flip(log, written // 2)
    said = refusal(server)
    assert log.name in said and "valid batches lie behind it" in said and "trivet repair" in said, said
    place = int(said.split("invalid bytes at ")[1].split(",")[0])
    assert written // 2 - 400 < place <= written // 2
    flip(log, written // 2)
    with server.start():
        assert count_there(server, 1000) == 1000


def test_a_missing_snapshot_above_a_trimmed_log_is_refused(tmp_path):
    """The log is trimmed by whole segments of 64 MiB, above 1,024 entries: it takes as much to have one gone."""
    data = tmp_path / "data"
    server = trivet(data, snapCount=500).start()
    create_all(server, 1)
    with contextlib.closing(jute.Connection(server.port_of("zookeeper"))) as zk:
        for number in range(1800):
            data_bytes = 1_000_000 if number < 70 else 10
            assert zk.ask(jute.SET_DATA, jute.set_data("/n0", bytes(data_bytes)))[2] == 0
    server.stop()
    logs = sorted((data / "coord" / "log").glob("*.log"))
    assert logs and not logs[0].name.startswith("00000000000000000001"), "nothing was trimmed"
    for snapshot in (data / "coord").glob("snapshot.*"):
        snapshot.unlink()
    said = refusal(server)
    assert "there is no snapshot of what came before" in said, said
    assert sorted((data / "coord" / "log").glob("*.log")) == logs


def test_a_damaged_snapshot_is_passed_over_when_the_log_suffices(tmp_path):
    data = tmp_path / "data"
    server = trivet(data, snapCount=100).start()
    create_all(server, 400)
    server.kill9()
    snapshot = max((data / "coord").glob("snapshot.*[0-9]"))
    snapshot.write_bytes(b"")
    with server.start():
        assert count_there(server, 400) == 400
        said = server.log_tail()
        assert "warn" in said and snapshot.name in said, said


def test_a_zookeepers_own_data_is_refused_in_a_sentence(tmp_path):
    for place in ("data", "data/coord"):
        data = tmp_path / place.replace("/", "-") / "data"
        folder = data / "version-2" if place == "data" else data / "coord" / "version-2"
        folder.mkdir(parents=True)
        said = refusal(trivet(data))
        assert "version-2 holds the data of a ZooKeeper" in said, said

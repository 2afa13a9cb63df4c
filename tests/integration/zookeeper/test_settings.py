"""zoo.cfg's names that mean little or nothing here: taken, said in the log, and checked all the same."""

import socket

import pytest

from harness.process import HOST, ServerError, exchange
from harness.trivet import Trivet
from wire import jute

pytestmark = pytest.mark.trivet_only

IDLE = {
    "autopurge.snapRetainCount": 3,
    "autopurge.purgeInterval": 1,
    "standaloneEnabled": "false",
    "preAllocSize": 65536,
    "readonlymode.enabled": "true",
    "admin.enableServer": "false",
    "admin.serverPort": 8081,
    "admin.serverAddress": "0.0.0.0",
}


def test_settings_without_effect_are_taken_and_said():
    with Trivet({"zookeeper": IDLE}) as server:
        server.start()
        log = server.log_tail(40)
        for name in IDLE:
            assert f"a setting is without effect here setting={name} " in log, name
        session = jute.Connection(server.port_of("zookeeper"))
        assert session.ask(jute.EXISTS, jute.read("/"))[2] == 0
        session.end()
        assert exchange(server.port_of("zookeeper"), b"isro") == b"rw"


@pytest.mark.parametrize(
    "name, value, why",
    [
        ("standaloneEnabled", "perhaps", "is not true, false, yes or no"),
        ("autopurge.purgeInterval", "soon", "is not a number"),
        ("preAllocSiz", "1", "unknown setting 'preAllocSiz'"),
        ("jute.maxbuffer", "-1", "is not a whole number"),
    ],
)
def test_their_values_are_checked(name, value, why):
    server = Trivet({"zookeeper": {name: value}})
    with pytest.raises(ServerError, match=why):
        server.start()


def test_a_small_jute_maxbuffer_bounds_every_frame(launch):
    server = launch("zookeeper", **{"jute.maxbuffer": 200})
    session = jute.Connection(server.port_of("zookeeper"))
    assert session.ask(jute.EXISTS, jute.read("/" + "a" * 150))[2] == -101
    with pytest.raises((jute.Closed, OSError)):
        session.ask(jute.EXISTS, jute.read("/" + "a" * 300))


def test_a_jute_maxbuffer_below_the_handshake_lets_nobody_in(launch):
    server = launch("zookeeper", **{"jute.maxbuffer": 20})
    with socket.create_connection((HOST, server.port_of("zookeeper")), timeout=20) as conn:
        conn.sendall(jute.frame(jute.connect_request()))
        assert conn.recv(10) == b""


def znodes(server):
    session = jute.Connection(server.port_of("zookeeper"))
    found = [session.ask(jute.EXISTS, jute.read(f"/n{i}"))[2] == 0 for i in range(30)]
    session.end()
    return sum(found)


def test_the_log_lies_where_data_log_dir_says_and_is_not_forgotten_there(tmp_path):
    """An old snapshot without the log behind it would be the tree of the day before."""
    data, log = tmp_path / "data", tmp_path / "log"
    both = {"dataDir": data, "dataLogDir": log, "snapCount": 10}
    with Trivet({"zookeeper": both}, data=tmp_path / "trivet") as server:
        server.start()
        session = jute.Connection(server.port_of("zookeeper"))
        for i in range(30):
            assert session.ask(jute.CREATE, jute.create(f"/n{i}"))[2] == 0
        assert (log / "coord" / "log").is_dir() and not (data / "coord" / "log").exists()
        assert f"dataLogDir={log}/coord" in exchange(server.port_of("zookeeper"), b"conf").decode()
        server.restart(kill=True)
        assert znodes(server) == 30
        server.stop()
        for elsewhere in ({"dataDir": data}, {"dataDir": data, "dataLogDir": tmp_path / "third"}):
            server.directives = {"zookeeper": elsewhere}
            with pytest.raises(ServerError, match=f"the log is in {log}/coord"):
                server.start()
        server.directives = {"zookeeper": both}
        assert znodes(server.start()) == 30


def test_a_relative_data_log_dir_is_the_same_place_wherever_the_server_is_started(tmp_path, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    relative = {"dataDir": tmp_path / "data", "dataLogDir": "./log"}
    with Trivet({"zookeeper": relative}, data=tmp_path / "trivet") as server:
        server.start()
        server.stop()
        assert (tmp_path / "data/coord/log-elsewhere").read_text() == f"{here}/log/coord"
        monkeypatch.chdir(there)
        with pytest.raises(ServerError, match=f"the log is in {here}/log/coord"):
            server.start()
        assert not (there / "log/coord/log").exists()
        server.directives = {"zookeeper": relative | {"dataLogDir": here / "log"}}
        server.start()


def test_a_log_that_is_with_the_snapshots_is_not_left_behind(tmp_path):
    with Trivet({"zookeeper": {"dataDir": tmp_path / "data"}}, data=tmp_path / "trivet") as server:
        server.start()
        server.stop()
        server.directives = {"zookeeper": {"dataDir": tmp_path / "data", "dataLogDir": tmp_path / "log"}}
        with pytest.raises(ServerError, match="its log is here: move the log"):
            server.start()

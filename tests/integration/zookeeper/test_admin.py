"""zkCli.sh and the four-letter words."""

import pathlib
import shutil
import subprocess

import pytest

from harness.process import exchange

ZKCLI = pathlib.Path("/usr/share/zookeeper/bin/zkCli.sh")


def word(server, letters):
    return exchange(server.port_of("zookeeper"), letters).decode()


def test_ruok_and_isro(zookeeper_server):
    assert word(zookeeper_server, b"ruok") == "imok"
    assert word(zookeeper_server, b"isro") == "rw"


def test_srvr_and_stat_tell_version_mode_and_count(zookeeper_server, zk):
    for letters in (b"srvr", b"stat"):
        text = word(zookeeper_server, letters)
        assert text.startswith("Zookeeper version: 3.")
        for part in ("Latency min/avg/max: ", "Received: ", "Sent: ", "Outstanding: ", "Zxid: 0x", "Mode: standalone"):
            assert part in text, part
        assert int(text.rpartition("Node count: ")[2]) >= 5
    assert "Clients:" in word(zookeeper_server, b"stat")


def test_mntr_gives_the_gauges_that_people_graph(zookeeper_server, zk):
    lines = dict(line.split("\t", 1) for line in word(zookeeper_server, b"mntr").splitlines() if "\t" in line)
    for key in ("zk_version", "zk_server_state", "zk_avg_latency", "zk_outstanding_requests", "zk_znode_count",
                "zk_watch_count", "zk_ephemerals_count", "zk_approximate_data_size", "zk_num_alive_connections",
                "zk_packets_received", "zk_packets_sent"):  # fmt: skip
        assert key in lines, key
    assert int(lines["zk_num_alive_connections"].split(".")[0]) >= 1
    assert int(float(lines["zk_znode_count"])) == int(word(zookeeper_server, b"srvr").rpartition("Node count: ")[2])


def test_conf_and_envi_tell_the_settings(zookeeper_server):
    conf = word(zookeeper_server, b"conf")
    assert f"clientPort={zookeeper_server.port_of('zookeeper')}" in conf and "tickTime=2000" in conf
    envi = word(zookeeper_server, b"envi")
    assert envi.startswith("Environment:") and "zookeeper.version=3." in envi


@pytest.fixture
def zkcli(zookeeper_server):
    if not ZKCLI.exists() or not shutil.which("java"):
        pytest.skip("no zkCli.sh: Debian's package zookeeper is not installed")
    address = f"{zookeeper_server.host}:{zookeeper_server.port_of('zookeeper')}"

    def run(*lines):
        text = "\n".join([*lines, "quit"]) + "\n"
        done = subprocess.run([ZKCLI, "-server", address], input=text, capture_output=True, text=True, timeout=90)
        return done.stdout + done.stderr

    return run


def test_zkcli_creates_lists_reads_and_deletes(zkcli, root):
    told = zkcli(
        f"create {root} top", f"create -s -e {root}/n- x", f"create -c {root}/box", f"set {root} changed", f"get -s {root}",
        f"ls -s {root}", f"getAcl {root}", f"stat {root}", f"getAllChildrenNumber {root}", f"getEphemerals {root}",
        f"delete {root}/none", f"sync {root}", "whoami", f"deleteall {root}", f"ls {root}",
    )  # fmt: skip
    for part in (
        f"Created {root}", f"Created {root}/n-0000000000", f"Created {root}/box", "changed", "dataVersion = 1", "cversion = 2",
        "numChildren = 2", "'world,'anyone", f"Node does not exist: {root}/none", "Sync is OK",
        f"Node does not exist: {root}",
    ):  # fmt: skip
        assert part in told, f"{part!r} not in\n{told}"


def test_zkcli_watches_and_sets_quotas_and_acls(zkcli, root):
    told = zkcli(
        f"create {root}", f"get -w {root}", f"set {root} x", f"setAcl {root} world:anyone:cdrwa", f"setquota -n 5 {root}",
        f"listquota {root}", f"delquota -n {root}", f"deleteall {root}",
    )  # fmt: skip
    assert "type:NodeDataChanged" in told and root in told
    assert "count=5" in told

"""The four-letter words, asked of the original and of Trivet after the same requests: the same keys, and the same values where these
do not depend on the machine, the moment or the implementation."""

import re
import socket

import pytest

from harness import originals
from harness.process import HOST, exchange
from harness.trivet import Trivet
from wire import jute

CHANGES = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)?")
# Of the original's own; the rest of its mntr counts the queues of its processors.
MNTR_KEYS = """version server_state ephemerals_count num_alive_connections avg_latency outstanding_requests znode_count
    global_sessions non_mtls_remote_conn_count last_client_response_size packets_sent packets_received
    max_client_response_size watch_count auth_failed_count min_latency max_file_descriptor_count approximate_data_size
    open_file_descriptor_count local_sessions uptime max_latency min_client_response_size non_mtls_local_conn_count
    connection_rejected bytes_received_count snap_count""".split()
MNTR_SUMMARIES = ("readlatency", "updatelatency", "fsynctime")
SAME_VALUES = """zk_server_state zk_ephemerals_count zk_num_alive_connections zk_outstanding_requests zk_znode_count
    zk_watch_count zk_approximate_data_size zk_local_sessions zk_global_sessions zk_auth_failed_count
    zk_non_mtls_local_conn_count zk_non_mtls_remote_conn_count zk_last_client_response_size zk_max_client_response_size
    zk_min_client_response_size zk_connection_rejected zk_cnt_readlatency zk_cnt_updatelatency""".split()


def ask(server, word):
    return exchange(server.port_of("zookeeper"), word).decode()


def work(server):
    """A session with a few nodes and a watch; still open."""
    session = jute.Connection(server.port_of("zookeeper"))
    session.ask(jute.CREATE, jute.create("/a", b"x" * 10))
    session.ask(jute.CREATE, jute.create("/a/e", b"", flags=jute.EPHEMERAL))
    session.ask(jute.GET_DATA, jute.read("/a", True))
    session.ask(jute.SET_ACL, jute.text("/a") + jute.acl_vector(jute.OPEN_ACL) + jute.i32(-1))
    return session


@pytest.fixture(scope="module")
def pair():
    if reason := originals.available("zookeeper"):
        pytest.skip(reason)
    trivet = Trivet({"kafka": {"enabled": "no"}, "zookeeper": {"4lw.commands.whitelist": "*"}})
    with trivet, originals.ORIGINALS["zookeeper"]({"4lw.commands.whitelist": "*"}) as original:
        servers = [original.start(), trivet.start()]
        sessions = [work(server) for server in servers]
        yield servers
        for session in sessions:
            session.end()


def keys(text, apart):
    return dict(line.split(apart, 1) for line in text.splitlines() if apart in line)


def test_mntr_has_the_original_s_keys_and_values(pair):
    original, trivet = (keys(ask(server, b"mntr"), "\t") for server in pair)
    wanted = [f"zk_{key}" for key in MNTR_KEYS]
    wanted += [f"zk_{part}_{name}" for name in MNTR_SUMMARIES for part in ("avg", "min", "max", "cnt", "sum")]
    assert set(wanted) <= set(original)
    assert set(trivet) == set(wanted)
    for key in wanted[1:]:
        assert re.fullmatch(r"-?\d+", original[key]) is None or re.fullmatch(r"-?\d+", trivet[key]), (key, trivet[key])
    assert {key: trivet[key] for key in SAME_VALUES} == {key: original[key] for key in SAME_VALUES}
    assert int(trivet["zk_max_file_descriptor_count"]) > int(trivet["zk_open_file_descriptor_count"]) > 5


def test_srvr_and_stat_have_the_original_s_lines(pair):
    for word in (b"srvr", b"stat"):
        original, trivet = ([CHANGES.sub("N", line) for line in ask(server, word).splitlines()] for server in pair)
        assert trivet[1:] == original[1:]
        version = r"Zookeeper version: 3\.\d+\.\d+-\S+, built on \d{4}-\d\d-\d\d \d\d:\d\d UTC"
        for server in pair:
            assert re.fullmatch(version, ask(server, word).splitlines()[0])
    nodes = [re.search(r"Node count: (\d+)", ask(server, b"srvr"))[1] for server in pair]
    assert nodes[0] == nodes[1] == "7"


def test_cons_tells_of_connections_as_the_original_does(pair):
    original, trivet = (sorted(CHANGES.sub("N", line) for line in ask(server, b"cons").splitlines()) for server in pair)
    assert trivet == original


def test_conf_and_envi_have_the_original_s_keys_in_its_order(pair):
    for word in (b"conf", b"envi"):
        original, trivet = (list(keys(ask(server, word), "=")) for server in pair)
        assert trivet == original
    same = ("tickTime", "maxClientCnxns", "minSessionTimeout", "maxSessionTimeout", "serverId", "secureClientPort")
    original, trivet = (keys(ask(server, b"conf"), "=") for server in pair)
    assert {key: trivet[key] for key in same} == {key: original[key] for key in same}


def test_stmk_sets_the_mask_that_gtmk_tells(pair):
    for server in pair:
        assert ask(server, b"gtmk") == "306"
        assert ask(server, b"stmk" + jute.i64(0x102)) == "258"
        assert ask(server, b"gtmk") == "258"
        assert ask(server, b"stmk" + jute.i64(-1)) == "-1"
        assert ask(server, b"stmk" + jute.i64(306)) == "306"


def test_a_mask_that_comes_late_or_not_at_all(pair):
    for server in pair:
        with socket.create_connection((HOST, server.port_of("zookeeper")), timeout=20) as conn:
            conn.sendall(b"stmk\0\0")
            conn.shutdown(socket.SHUT_WR)
            assert conn.recv(100) == b""
        assert ask(server, b"gtmk") == "306"


def asked_alone(server, op, body):
    """What a request on a session of its own is answered, whether the session lives on, and how many zxids it took."""
    session = jute.Connection(server.port_of("zookeeper"))
    before = session.ask(jute.EXISTS, jute.read("/"))[1]
    session.socket.sendall(jute.frame(jute.i32(5) + jute.i32(op) + body))
    xid, zxid, err, answer = session.read_reply()
    try:
        after = session.ask(jute.EXISTS, jute.read("/"))[1]
        session.end()
        return xid, zxid - before, err, answer, after - before
    except (jute.Closed, OSError):
        return xid, zxid, err, answer, "closed"


SHORT = [jute.CREATE, jute.CREATE2, jute.CREATE_CONTAINER, jute.CREATE_TTL, jute.DELETE, jute.SET_DATA, jute.SET_ACL]


@pytest.mark.parametrize("op", [*SHORT, jute.MULTI, jute.RECONFIG, jute.DELETE_CONTAINER, jute.GET_DATA, jute.SYNC])
@pytest.mark.parametrize("body", [b"", b"\0\0", jute.text("/a")[:5]])
def test_a_malformed_request_is_answered_and_takes_a_zxid_where_the_original_s_does(pair, op, body):
    original, trivet = (asked_alone(server, op, body) for server in pair)
    assert trivet == original


@pytest.mark.parametrize("version", [-1, 0, 7])
@pytest.mark.parametrize("path", ["/a", "/none"])
def test_a_check_alone_is_no_operation(pair, path, version):
    """Case P7."""
    original, trivet = (asked_alone(server, jute.CHECK, jute.text(path) + jute.i32(version)) for server in pair)
    assert trivet == original == (5, -1, -6, b"", "closed")


def test_a_malformed_write_waits_its_turn(pair):
    """Pipelined: the answers come in the order of the requests."""
    for server in pair:
        session = jute.Connection(server.port_of("zookeeper"))
        create = jute.i32(jute.CREATE) + jute.create("/turn", b"", flags=jute.EPHEMERAL)
        frames = [jute.i32(1) + create, jute.i32(2) + jute.i32(jute.SET_DATA), jute.i32(3) + jute.i32(jute.EXISTS) + jute.read("/turn")]
        session.socket.sendall(b"".join(jute.frame(frame) for frame in frames))
        assert [session.read_reply()[0::2][:2] for _ in frames] == [(1, 0), (2, -5), (3, 0)]
        session.end()


def test_a_client_that_takes_read_only_gets_the_whole_service(pair):
    for server in pair:
        asks = jute.i32(0) + jute.i64(0) + jute.i32(10_000) + jute.i64(0) + jute.buffer(bytes(16)) + jute.flag(True)
        with socket.create_connection((HOST, server.port_of("zookeeper")), timeout=20) as conn:
            conn.sendall(jute.frame(asks))
            reply = conn.recv(100)
        assert len(reply) == 4 + 37 and reply[-1] == 0
        assert ask(server, b"isro") == "rw"

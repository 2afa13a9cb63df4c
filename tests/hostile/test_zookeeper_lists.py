"""Long lists in one request: access lists, identities, watches. What they cost grows with their length, no faster."""

import base64
import hashlib

import pytest

from wire import jute

pytestmark = pytest.mark.trivet_only


def digest(user, password):
    return f"{user}:" + base64.b64encode(hashlib.sha1(f"{user}:{password}".encode()).digest()).decode()


@pytest.fixture
def server(shared):
    return shared.of("zookeeper")


@pytest.fixture
def session(server):
    opened = jute.Connection(server.port_of("zookeeper"))
    yield opened
    opened.end()


DIGESTS = [(31, "digest", digest(f"u{i}", "p")) for i in range(15_000)]
ADDRESSES = [(31, "ip", f"10.{i // 62500 % 250}.{i // 250 % 250}.{i % 250}") for i in range(15_000)]


@pytest.mark.parametrize("entries", [DIGESTS, ADDRESSES], ids=["digests", "addresses"])
def test_an_access_list_of_fifteen_thousand_entries(session, server, no_stall, entries):
    mine = [(31, "digest", digest("me", "secret"))]
    path = f"/long-{session.session}"
    assert session.ask(jute.AUTH, jute.i32(0) + jute.text("digest") + jute.buffer(b"me:secret"), xid=jute.AUTH_XID)[2] == 0
    with no_stall(server):
        assert session.ask(jute.CREATE, jute.create(path, b"", jute.EPHEMERAL, entries + mine))[2] == 0
        assert session.ask(jute.SET_ACL, jute.text(path) + jute.acl_vector(entries[:-1] + mine) + jute.i32(-1))[2] == 0
        assert session.ask(jute.GET_DATA, jute.read(path))[2] == 0
    stranger = jute.Connection(server.port_of("zookeeper"))
    assert stranger.ask(jute.GET_DATA, jute.read(path))[2] == -102
    stranger.end()


def test_a_list_that_says_the_same_many_times_is_stored_once(session):
    path = f"/same-{session.session}"
    entries = [(31, "world", "anyone"), (1, "digest", digest("a", "b"))] * 5000
    assert session.ask(jute.CREATE, jute.create(path, b"", jute.EPHEMERAL, entries))[2] == 0
    reply = jute.Reader(session.ask(jute.GET_ACL, jute.text(path))[3])
    assert reply.i32() == 2


def test_many_watchers_of_a_node_with_a_long_list(session, server, no_stall):
    path = f"/watched-{session.session}"
    entries = DIGESTS[:5000] + [(31, "world", "anyone")]
    assert session.ask(jute.CREATE, jute.create(path, b"", jute.EPHEMERAL, entries))[2] == 0
    watchers = [jute.Connection(server.port_of("zookeeper")) for _ in range(300)]
    with no_stall(server):
        for watcher in watchers:
            watcher.ask(jute.EXISTS, jute.read(path, True))
        assert session.ask(jute.SET_DATA, jute.text(path) + jute.buffer(b"x") + jute.i32(-1))[2] == 0
    for watcher in watchers:
        watcher.ask(jute.EXISTS, jute.read("/"))
        assert len(watcher.events) == 1
        watcher.end()


def multi_read(parts):
    head = jute.i32(jute.GET_DATA) + jute.flag(False) + jute.i32(-1)
    return b"".join(head + jute.read(path) for path in parts) + jute.i32(-1) + jute.flag(True) + jute.i32(-1)


def test_a_small_request_that_reads_a_large_node_many_times_is_refused(session, server, no_stall):
    """A frame of a megabyte would name it forty thousand times."""
    path = f"/large-{session.session}"
    assert session.ask(jute.CREATE, jute.create(path, b"x" * 1_000_000, jute.EPHEMERAL))[2] == 0
    assert session.ask(jute.MULTI_READ, multi_read([path] * 5))[2] == 0
    with no_stall(server):
        assert session.ask(jute.MULTI_READ, multi_read([path] * 3000))[2] == -5
    assert session.ask(jute.EXISTS, jute.read(path))[2] == 0


def test_a_pipeline_of_long_reads_lets_others_in(session, server, no_stall):
    """Counting what is below a node, again and again, in one packet; the answers are all there and in order."""
    root = f"/many-{session.session}"
    assert session.ask(jute.CREATE, jute.create(root))[2] == 0
    head, end = jute.i32(jute.CREATE) + jute.flag(False) + jute.i32(-1), jute.i32(-1) + jute.flag(True) + jute.i32(-1)
    for start in range(0, 20_000, 2000):
        creates = [head + jute.create(f"{root}/n{i}", b"", jute.EPHEMERAL) for i in range(start, start + 2000)]
        assert session.ask(jute.MULTI, b"".join(creates) + end)[2] == 0
    with no_stall(server):
        count = jute.frame(jute.i32(7) + jute.i32(jute.GET_ALL_CHILDREN_NUMBER) + jute.text(root))
        session.socket.sendall(count * 2500)
        counts = {jute.Reader(session.read_reply()[3]).i32() for _ in range(2500)}
    assert counts == {20_000}

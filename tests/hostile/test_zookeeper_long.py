"""Requests that are long by nature, of the tree's own reactor, which the other protocols' leases and raft's heartbeats share: no turn may
compute for 100 ms, and what can be cut into slices leaves others their turn in between."""

import select

import pytest

from wire import jute

PATHS = 25_000  # their names fill a frame of the usual size
TRIES_MAX = 10  # on a machine that is busy otherwise the client may look too late
SESSIONS = 1_500
PART = 5_000  # of a multi


@pytest.fixture
def server(shared, ports):
    ports["zookeeper"]  # so that it must still answer afterwards
    return shared.of("zookeeper")


def fill(session, prefix, count, flags=0):
    paths = [f"{prefix}{number}" for number in range(count)]
    for at in range(0, count, PART):
        parts = [(jute.CREATE, jute.create(path, b"", flags)) for path in paths[at : at + PART]]
        assert session.ask(jute.MULTI, jute.multi(parts))[2] == 0
    return paths


def answered(session):
    return select.select([session.socket], [], [], 0)[0] != []


def asked_between(many, other, body):
    """How often the other one was answered before the watches were all there."""
    count = 0
    many.send(jute.SET_WATCHES, body, xid=jute.SET_WATCHES_XID)
    while not answered(many):
        assert other.ask(jute.EXISTS, jute.read("/"))[2] == 0
        count += 1
    assert many.read_reply()[2] == 0
    return count


def test_watches_by_the_thousand_are_renewed_in_slices(server, no_stall):
    """Whoever asks meanwhile is answered before it ends."""
    many, other = jute.Connection(server.port_of("zookeeper")), jute.Connection(server.port_of("zookeeper"))
    paths = [f"/none/of/them/is/there/{number}" for number in range(PATHS)]
    body = jute.set_watches(1 << 40, [], paths, [])
    with no_stall(server):
        assert any(asked_between(many, other, body) >= 3 for _ in range(TRIES_MAX)), "it was done in one go"
    # Requests behind it keep their order, a write among them.
    many.send(jute.SET_WATCHES, body, xid=jute.SET_WATCHES_XID)
    created = many.send(jute.CREATE, jute.create("/behind-watches"))
    looked = many.send(jute.EXISTS, jute.read("/behind-watches"))
    assert [many.read_reply()[0] for _ in range(3)] == [jute.SET_WATCHES_XID, created, looked]
    assert many.ask(jute.DELETE, jute.delete("/behind-watches"))[2] == 0
    many.end()
    other.end()


def test_a_session_that_ends_with_many_ephemeral_nodes_holds_nobody_for_long(server, no_stall):
    session = jute.Connection(server.port_of("zookeeper"), timeout=60_000)
    fill(session, "/ephemeral-", PATHS, jute.EPHEMERAL)
    with no_stall(server):
        session.end()


def test_sessions_by_the_thousand_end_at_once(server, no_stall):
    sessions = [jute.Connection(server.port_of("zookeeper")) for _ in range(SESSIONS)]
    with no_stall(server):
        for session in sessions:
            session.send(jute.CLOSE_SESSION)
        for session in sessions:
            assert session.read_reply()[2] == 0
    for session in sessions:
        session.close()

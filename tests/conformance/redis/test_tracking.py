"""Clients that track keys are told the same, in the same order among their replies, by both servers."""

import pytest

from wire import resp

# (connection, words): all that the connection hears until the reply is compared. 0 tracks, 1 changes, 2 hears for others.
SCRIPTS = {
    "default": [
        (0, "HELLO 3"), (0, "CLIENT TRACKING ON"), (1, "SET k 1"), (0, "GET k"), (1, "SET k 2"), (0, "PING"), (1, "SET k 3"),
        (0, "PING"), (0, "MGET k l"), (1, "DEL l"), (1, "SET l 1"), (0, "PING"), (0, "SET k 4"), (0, "GET k"), (0, "SET k 5"),
        (0, "GET k"), (1, "FLUSHDB"), (0, "PING"), (0, "CLIENT TRACKING OFF"), (0, "GET k"), (1, "SET k 6"), (0, "PING"),
    ],
    "noloop": [
        (0, "HELLO 3"), (0, "CLIENT TRACKING ON NOLOOP"), (0, "GET k"), (0, "SET k 1"), (0, "GET k"), (1, "SET k 2"),
        (0, "PING"), (0, "CLIENT TRACKINGINFO"), (0, "FLUSHALL"), (0, "PING"),
    ],
    "optin": [
        (0, "HELLO 3"), (0, "CLIENT CACHING YES"), (0, "CLIENT TRACKING ON OPTIN"), (0, "GET k"), (1, "SET k 1"), (0, "PING"),
        (0, "CLIENT CACHING NO"), (0, "CLIENT CACHING YES"), (0, "CLIENT TRACKINGINFO"), (0, "GET k"), (1, "SET k 2"),
        (0, "PING"), (0, "CLIENT CACHING YES"), (0, "MULTI"), (0, "GET k"), (0, "GET l"), (0, "EXEC"), (1, "MSET k 3 l 3"),
        (0, "PING"), (0, "CLIENT TRACKING ON OPTOUT"), (0, "CLIENT CACHING MAYBE"),
    ],
    "optout": [
        (0, "HELLO 3"), (0, "CLIENT TRACKING ON OPTOUT"), (0, "CLIENT CACHING NO"), (0, "GET k"), (1, "SET k 1"), (0, "PING"),
        (0, "GET k"), (1, "SET k 2"), (0, "PING"), (0, "CLIENT CACHING YES"),
    ],
    "bcast": [
        (0, "HELLO 3"), (0, "CLIENT TRACKING ON BCAST PREFIX a PREFIX b"), (1, "SET a1 1"), (0, "PING"), (1, "SET c 1"),
        (0, "PING"), (1, "SET b1 1"), (0, "PING"), (0, "CLIENT TRACKING ON BCAST PREFIX ab"), (0, "CLIENT TRACKINGINFO"),
        (0, "CLIENT TRACKING ON BCAST PREFIX x PREFIX xy"), (0, "CLIENT TRACKING ON"), (0, "CLIENT TRACKING ON PREFIX x"),
        (0, "CLIENT TRACKING ON BCAST OPTIN"), (0, "RESET"), (1, "SET a2 1"), (0, "PING"),
    ],
    "redirect": [
        (2, "SUBSCRIBE __redis__:invalidate"), (0, "CLIENT TRACKING ON REDIRECT {2}"), (0, "GET k"), (1, "SET k 1"), (2, "PING"),
        (1, "FLUSHALL"), (2, "PING"), (0, "CLIENT TRACKING ON REDIRECT 1 REDIRECT {2}"), (0, "CLIENT TRACKING ON REDIRECT 999999"),
        (0, "CLIENT TRACKING MAYBE"), (0, "CLIENT TRACKING ON NONSENSE"), (0, "CLIENT GETREDIR"),
    ],
    "scripts": [
        (0, "HELLO 3"), (0, "CLIENT TRACKING ON"), (0, "EVAL_RO redis.call('get',KEYS[1]) 1 k"), (1, "SET k 1"), (0, "PING"),
        (0, "MULTI"), (0, "GET k"), (0, "SET k 2"), (0, "EXEC"), (1, "SET k 3"), (0, "PING"),
    ],
}  # fmt: skip


def heard(connection):
    """What comes before the reply to the next PING-like command, with the reply itself."""
    said = []
    while True:
        said.append(connection.read())
        if said[-1][0] != ">" and not (said[-1][0] == "*" and said[-1][1] and said[-1][1][0] == ("$", b"message")):
            return said
        if said[-1][0] == "*" and said[-1][1][0] == ("$", b"subscribe"):
            return said


def play(port, script):
    connections = [resp.Connection(port) for _ in range(3)]
    ids = [c.ask("CLIENT", "ID")[1] for c in connections]
    connections[0].ask("FLUSHALL")
    told = []
    for who, line in script:
        if "CLIENT GETREDIR" in line:
            told.append(connections[who].ask(*line.split())[1] == ids[2])
            continue
        words = [str(ids[int(w[1])]) if w.startswith("{") else w for w in line.split(" ")]
        connections[who].send(*words)
        if words[0] == "HELLO":
            connections[who].read()
            continue
        told.append((line, heard(connections[who])))
    for c in connections:
        c.socket.close()
    return told


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_same_is_told(redis_ports, valkey, name):
    theirs, ours = (play(port, SCRIPTS[name]) for port in redis_ports)
    for one, other in zip(theirs, ours):
        assert other == one


def test_the_table_is_bounded(launch):
    """Above tracking-table-max-keys keys go, and who read them is told."""
    server = launch("redis", appendonly="no", **{"tracking-table-max-keys": "10"})
    c = resp.Connection(server.port_of("redis"))
    c.ask("HELLO", "3")
    c.ask("CLIENT", "TRACKING", "ON")
    for number in range(50):
        c.send("GET", f"k{number}")
        while c.read()[0] == ">":
            pass
    told = 0
    while told < 40:
        tag, said = c.read()
        assert tag == ">" and said[0] == ("$", b"invalidate")
        told += len(said[1][1])

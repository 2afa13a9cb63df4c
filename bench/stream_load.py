"""A job queue as stream clients keep it: entries are read for a group one by one and acknowledged, over several connections.

redis-benchmark cannot do it, for XACK names the ID that XREADGROUP gave. The entries have the IDs 1-0, 2-0 ..., so that what is
to be acknowledged is known without looking into the replies.
"""

import socket
import subprocess

CONNECTIONS = 8
KEY, GROUP, VALUE = b"jobs", b"workers", b"x" * 64


def command(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


READ = command(b"XREADGROUP", b"GROUP", GROUP, b"worker", b"COUNT", b"1", b"STREAMS", KEY, b">")


def commands(rounds, pipeline):
    return rounds * CONNECTIONS * pipeline * 2


def fill(server, jobs, pipeline):
    """Adds about so many jobs; returns how many rounds of work they are."""
    rounds = max(jobs // (CONNECTIONS * pipeline), 1)
    jobs = rounds * CONNECTIONS * pipeline
    lines = [command(b"DEL", KEY), command(b"XGROUP", b"CREATE", KEY, GROUP, b"0", b"MKSTREAM")]
    lines += [command(b"XADD", KEY, b"%d-0" % n, b"job", b"%d" % n, b"data", VALUE) for n in range(1, jobs + 1)]
    pipe = ["redis-cli", "-h", server.host, "-p", str(server.port_of("redis")), "--pipe"]
    subprocess.run(pipe, input=b"".join(lines), check=True, capture_output=True)
    return rounds


def acknowledge(first, jobs):
    return b"".join(command(b"XACK", KEY, GROUP, b"%d-0" % n) for n in range(first, first + jobs))


def read_all(connection, complete):
    seen = b""
    while not complete(seen):
        data = connection.recv(1 << 18)
        assert data, "the server closed the connection"
        seen += data
    return seen


def exchange(connections, requests, complete):
    for connection, request in zip(connections, requests, strict=True):
        connection.sendall(request)
    return [read_all(connection, complete) for connection in connections]


def work(server, rounds, pipeline):
    """In each round every connection reads `pipeline` jobs, and when all have been given, acknowledges as many."""
    address = (server.host, server.port_of("redis"))
    connections = [socket.create_connection(address, timeout=60) for _ in range(CONNECTIONS)]
    given = [READ * pipeline] * CONNECTIONS
    for number in range(rounds):
        exchange(connections, given, lambda seen: seen.count(VALUE) == pipeline)
        first = number * CONNECTIONS * pipeline + 1
        done = [acknowledge(first + i * pipeline, pipeline) for i in range(CONNECTIONS)]
        for replies in exchange(connections, done, lambda seen: len(seen) == pipeline * len(b":1\r\n")):
            assert replies == b":1\r\n" * pipeline
    for connection in connections:
        connection.close()

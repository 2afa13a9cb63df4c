"""kazoo clients, each test under a root of its own."""

import itertools
import logging
import time

import pytest
from kazoo.client import KazooClient

from wire import jute

logging.getLogger("kazoo").setLevel(logging.CRITICAL)
numbers = itertools.count(time.time_ns() // 1_000_000 % 1_000_000_000)


@pytest.fixture
def root():
    return f"/test-{next(numbers)}"


@pytest.fixture
def connect(zookeeper_server, root):
    """connect(**options): one more started client whose paths begin at the test's root."""
    opened = []

    def open_one(**options):
        chroot = options.pop("chroot", root)
        address = f"{zookeeper_server.host}:{zookeeper_server.port_of('zookeeper')}"
        client = KazooClient(hosts=address + chroot, timeout=options.pop("timeout", 30), **options)
        client.start(timeout=60)
        opened.append(client)
        return client

    bare = open_one(chroot="")
    bare.ensure_path(root)
    yield open_one
    for client in opened[1:]:
        client.stop()
        client.close()
    bare.delete(root, recursive=True)
    bare.stop()
    bare.close()


@pytest.fixture
def zk(connect):
    return connect()


@pytest.fixture
def raw(zookeeper_server):
    """raw(**handshake): a session of our own making, for what clients hide."""
    opened = []

    def open_one(**handshake):
        opened.append(jute.Connection(zookeeper_server.port_of("zookeeper"), **handshake))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.end()


@pytest.fixture
def eventually():
    def wait(condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.01)

    return wait

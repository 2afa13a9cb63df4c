"""Bound beyond loopback without a password each protocol refuses who comes from elsewhere, and says why in its own words.

The stranger is this machine by another of its addresses: nothing leaves it.
"""

import contextlib
import socket
import urllib.error
import urllib.request

import pytest

from harness.process import HOST
from harness.trivet import Trivet
from wire import jute, kafka, resp

pytestmark = pytest.mark.trivet_only


def outer_address():
    """An address of this machine that is not loopback; asking for it sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address = probe.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    return address


@pytest.fixture
def outside():
    return outer_address()


@contextlib.contextmanager
def bound_to(outside, **directives):
    own = directives.pop("trivet", {})
    with Trivet({**directives, "trivet": {"bind": f"{HOST} {outside}", **own}}) as server:
        yield server.start()


def say(outside, server, wing, words):
    with socket.create_connection((outside, server.port_of(wing)), timeout=20) as conn:
        conn.sendall(words)
        said = b""
        while piece := conn.recv(10000):
            said += piece
    return said


def page(host, server, path):
    try:
        with urllib.request.urlopen(f"http://{host}:{server.port_of('http')}{path}", timeout=20) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_redis_tells_a_stranger_as_the_original_does(outside):
    with bound_to(outside) as server:
        with socket.create_connection((outside, server.port_of("redis")), timeout=20) as conn:
            assert conn.recv(2000).startswith(b"-DENIED Redis is running in protected mode")
        with resp.Connection(server.port_of("redis")) as connection:
            assert connection.ask("PING") == ("+", "PONG")


def test_redis_with_a_password_lets_a_stranger_prove_himself(outside):
    with bound_to(outside, redis={"requirepass": "sesame"}) as server:
        said = say(outside, server, "redis", b"PING\r\nAUTH sesame\r\nPING\r\nQUIT\r\n")
        assert said.startswith(b"-NOAUTH") and b"+PONG" in said


@pytest.mark.parametrize("version", [0, 3])
def test_kafka_tells_a_stranger_that_it_may_not(outside, version):
    with bound_to(outside) as server:
        body = {} if version == 0 else {"software": "test", "release": "1"}
        said = say(outside, server, "kafka", kafka.request("ApiVersions", version, 7, body))
        assert said[4:8] == (7).to_bytes(4, "big") and said[8:10] == (31).to_bytes(2, "big")
        assert say(outside, server, "kafka", kafka.request("Metadata", 1, 8, {"topics": []})) == b""
        assert "refused a stranger" in server.log_tail(10) and "protected-mode" in server.log_tail(10)
        with kafka.Connection(server.port_of("kafka")) as connection:
            assert connection.ask("ApiVersions", 0)["error"] == 0


def test_zookeeper_gives_a_stranger_no_session_and_says_why_to_four_letters(outside):
    from kazoo.client import KazooClient
    from kazoo.handlers.threading import KazooTimeoutError

    with bound_to(outside) as server:
        port = server.port_of("zookeeper")
        assert say(outside, server, "zookeeper", b"ruok").startswith(b"Trivet is in protected mode")
        assert say(outside, server, "zookeeper", jute.frame(jute.connect_request())) == b""
        client = KazooClient(f"{outside}:{port}", timeout=5)
        with pytest.raises(KazooTimeoutError):
            client.start(timeout=2)
        client.stop()
        client.close()
        assert "zookeeper refused a stranger" in server.log_tail(10)
        own = jute.Connection(port)
        assert own.ask(jute.EXISTS, jute.read("/"))[2] == 0
        assert server.metric("global_sessions") <= 2  # this one's, and the broker's
        own.end()


def test_http_tells_a_stranger_403(outside):
    with bound_to(outside) as server:
        for path in ("/metrics", "/healthz", "/"):
            status, text = page(outside, server, path)
            assert status == 403 and "protected mode" in text
        assert page(HOST, server, "/healthz") == (200, "ok\n")
        assert server.metric("trivet_http_strangers_refused_total") == 3


@pytest.mark.parametrize(
    "directives",
    [{"trivet": {"protected-mode": "no"}}, {w: {"protected-mode": "no"} for w in ("redis", "kafka", "zookeeper", "http")}],
)
def test_one_setting_lets_everybody_in_for_all_protocols_or_each(outside, directives):
    with bound_to(outside, **directives) as server:
        assert say(outside, server, "redis", b"PING\r\nQUIT\r\n").startswith(b"+PONG")
        with kafka.Connection(server.port_of("kafka"), host=outside) as connection:
            assert connection.ask("ApiVersions", 0)["error"] == 0
        assert say(outside, server, "zookeeper", b"ruok") == b"imok"
        assert page(outside, server, "/healthz") == (200, "ok\n")
        assert "everybody who reaches the port may use it" in server.log_tail(20)


def test_the_log_says_that_strangers_are_refused(outside):
    with bound_to(outside) as server:
        assert server.log_tail(20).count("strangers are refused") == 3
    with Trivet() as server:
        assert "strangers" not in server.start().log_tail(20)

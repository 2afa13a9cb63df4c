"""TLS on every port by [trivet]'s settings: beside plain text, alone, with certificates that are made or that change."""

import os
import shutil
import signal
import socket
import ssl
import stat
import subprocess

import pytest
import redis
from confluent_kafka import Producer
from harness import trivet
from harness.process import HOST, exchange
from kazoo.client import KazooClient

REQUEST = b"GET /healthz HTTP/1.0\r\n\r\n"


@pytest.fixture
def start():
    """A server with the options."""
    servers = []

    def run(*args, **sections):
        servers.append(trivet.Trivet(sections, args=args))
        return servers[-1].start()

    yield run
    for server in servers:
        server.close()


def secure(server, wing, ca):
    """A socket that has shaken hands with the wing's port."""
    raw = socket.create_connection((HOST, server.port_of(wing)), timeout=20)
    return ssl.create_default_context(cafile=ca).wrap_socket(raw, server_hostname="localhost")


def ask(server, wing, ca, request):
    with secure(server, wing, ca) as s:
        s.sendall(request)
        told = b""
        while part := s.recv(65536):
            told += part
        return told


def serial_of(server, ca):
    with secure(server, "http", ca) as s:
        return s.getpeercert()["serialNumber"].lstrip("0")


def kazoo(server, ca):
    return KazooClient(f"localhost:{server.port_of('zookeeper')}", use_ssl=True, ca=ca, timeout=30)


def produce(server, ca):
    failed = []
    producer = Producer({"bootstrap.servers": f"localhost:{server.port_of('kafka')}", "security.protocol": "ssl",
                         "ssl.ca.location": ca, "message.timeout.ms": 20000})
    producer.produce("t", b"x" * 10000, callback=lambda err, _: failed.append(err))
    producer.flush(30)
    return failed == [None]


def test_auto_makes_a_certificate_and_every_port_takes_tls_and_plain_text(start):
    server = start("--tls", "auto")
    ca = str(server.data / "tls" / "ca.crt")
    assert ask(server, "http", ca, REQUEST).startswith(b"HTTP/1.0 200") or b" 200 " in exchange(server.port_of("http"), REQUEST)
    assert b" 200 " in exchange(server.port_of("http"), REQUEST)
    assert redis.Redis(port=server.port_of("redis")).set("k", "v")
    assert redis.Redis(host="localhost", port=server.port_of("redis"), ssl=True, ssl_ca_certs=ca).get("k") == b"v"
    assert ask(server, "zookeeper", ca, b"ruok") == exchange(server.port_of("zookeeper"), b"ruok") == b"imok"
    assert produce(server, ca)
    client = kazoo(server, ca)
    client.start(timeout=30)
    assert client.exists("/brokers/topics/t")
    client.stop()
    key = os.stat(server.data / "tls" / "server.key")
    assert stat.S_IMODE(key.st_mode) == 0o600
    made = (server.data / "tls" / "server.crt").read_bytes()
    server.restart()
    assert (server.data / "tls" / "server.crt").read_bytes() == made


def test_required_tls_takes_no_plain_text(start, certificates):
    server = start("--tls", "require", "--tls-cert-file", certificates.cert("server"), "--tls-key-file",
                   certificates.key("server"), "--zookeeper.tls", "allow")
    assert exchange(server.port_of("http"), REQUEST) == b""
    assert exchange(server.port_of("redis"), b"PING\r\n") == b""
    assert exchange(server.port_of("zookeeper"), b"ruok") == b"imok"
    assert b" 200 " in ask(server, "http", certificates.cert("ca"), REQUEST)


def test_clients_are_asked_for_a_certificate(start, certificates):
    server = start("--tls", "allow", "--tls-cert-file", certificates.cert("server"), "--tls-key-file",
                   certificates.key("server"), "--tls-ca-cert-file", certificates.cert("ca"), "--tls-auth-clients", "yes")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(server, "http", certificates.cert("ca"), REQUEST)
    told = subprocess.run(["curl", "-s", "--cacert", certificates.cert("ca"), "--cert", certificates.cert("client"),
                           "--key", certificates.key("client"), f"https://localhost:{server.port_of('http')}/healthz"],
                          capture_output=True, timeout=30)
    assert told.stdout == b"ok\n"


@pytest.mark.parametrize("args, told", [
    (("--tls", "sometimes"), "trivet.tls is off, allow"),
    (("--tls", "allow"), "TLS needs a certificate and its private key"),
    (("--tls", "allow", "--tls-cert-file", "/nowhere", "--tls-key-file", "/nowhere"), "cannot load the certificate /nowhere"),
    (("--tls", "auto", "--tls-auth-clients", "maybe"), "tls-auth-clients is yes, no or optional"),
])
def test_what_does_not_fit_ends_the_start_with_one_line(start, args, told):
    with pytest.raises(Exception, match=told):
        start(*args)


@pytest.mark.parametrize("how", ["told", "seen"])
def test_certificates_that_change_are_presented_to_newcomers_and_nobody_is_closed(start, certificates, tmp_path, eventually, how):
    cert, key, ca = tmp_path / "s.crt", tmp_path / "s.key", certificates.cert("ca")
    shutil.copy(certificates.cert("server"), cert)
    shutil.copy(certificates.key("server"), key)
    server = start("--tls", "allow", "--tls-cert-file", str(cert), "--tls-key-file", str(key))
    early = redis.Redis(host="localhost", port=server.port_of("redis"), ssl=True, ssl_ca_certs=ca,
                        single_connection_client=True)
    assert early.ping() and serial_of(server, ca) == certificates.serial("server").lstrip("0")
    shutil.copy(certificates.cert("renewed"), cert)  # with the old key for a moment, which must do no harm
    shutil.copy(certificates.key("renewed"), key)
    if how == "told":
        os.kill(server.process.pid, signal.SIGHUP)
    eventually(lambda: serial_of(server, ca) == certificates.serial("renewed").lstrip("0"))
    assert early.ping()

"""TLS at secureClientPort, and beside plain text at clientPort (client.portUnification)."""

import socket
import ssl

import pytest
from harness.process import HOST, exchange, free_port
from kazoo.client import KazooClient


def directives(certificates, **more):
    return {
        "secureClientPort": free_port(),
        "ssl.keyStore.location": certificates.store("server"),
        "ssl.keyStore.password": "secret",
        "ssl.trustStore.location": certificates.cert("ca"),
        "ssl.trustStore.type": "PEM",
        **more,
    }


def secure(certificates, port, who="client"):
    pair = {"certfile": certificates.cert(who), "keyfile": certificates.key(who)} if who else {}
    return KazooClient(f"localhost:{port}", use_ssl=True, ca=certificates.cert("ca"), timeout=30, **pair)


def ruok(certificates, port, who="client"):
    context = ssl.create_default_context(cafile=certificates.cert("ca"))
    if who:
        context.load_cert_chain(certificates.cert(who), certificates.key(who))
    with socket.create_connection((HOST, port), timeout=20) as raw:
        with context.wrap_socket(raw, server_hostname="localhost") as s:
            s.sendall(b"ruok")
            return s.recv(10)


def test_both_ports_show_the_same_tree(launch, certificates):
    settings = directives(certificates)
    server = launch("zookeeper", **settings)
    one, other = secure(certificates, settings["secureClientPort"]), KazooClient(f"{HOST}:{server.port_of('zookeeper')}")
    one.start(timeout=30), other.start(timeout=30)
    seen = []
    other.create("/n", b"1")
    other.get("/n", watch=seen.append)
    one.set("/n", b"x" * 500_000)
    assert other.get("/n")[0] == b"x" * 500_000 == one.get("/n")[0]
    assert len(seen) == 1
    one.stop(), other.stop()
    told = exchange(server.port_of("zookeeper"), b"conf").decode()
    assert f"secureClientPort={settings['secureClientPort']}\n" in told


def test_clients_need_a_certificate_unless_they_are_not_asked(launch, certificates):
    settings = directives(certificates)
    launch("zookeeper", **settings)
    assert ruok(certificates, settings["secureClientPort"]) == b"imok"
    for who in (None, "strange"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            assert ruok(certificates, settings["secureClientPort"], who) == b"imok"
    assert exchange(settings["secureClientPort"], b"ruok") == b""
    unasked = directives(certificates, **{"ssl.clientAuth": "none"})
    launch("zookeeper", **unasked)
    assert ruok(certificates, unasked["secureClientPort"], None) == b"imok"


def test_one_port_takes_both_when_it_is_unified(launch, certificates):
    settings = directives(certificates, **{"secureClientPort": 0, "client.portUnification": "true"})
    server = launch("zookeeper", **settings)
    port = server.port_of("zookeeper")
    assert ruok(certificates, port) == b"imok" == exchange(port, b"ruok")


@pytest.mark.parametrize("changed, why", [
    ({"ssl.keyStore.location": "/nowhere.p12"}, "cannot read /nowhere.p12"),
    ({"ssl.clientAuth": "maybe"}, "ssl.clientAuth is need, want or none"),
    ({"ssl.enabledProtocols": "SSLv3"}, "ssl.enabledProtocols are TLSv1.2 and TLSv1.3"),
])
def test_what_does_not_fit_ends_the_start_with_one_line(launch, certificates, changed, why):
    with pytest.raises(Exception, match=why):
        launch("zookeeper", **directives(certificates, **changed))

"""TLS at Redis' tls-port: who is let in, what CONFIG SET changes while clients are connected, and the programs that people use."""

import json
import shutil
import socket
import ssl
import subprocess

import pytest
import redis
from harness.process import free_port
from redis.backoff import NoBackoff
from redis.retry import Retry

from .test_cli import NODE_MODULES

MISSING = "Unable to update TLS configuration. Check server logs."


def directives(certificates, **more):
    return {
        "tls-port": free_port(),
        "tls-cert-file": certificates.cert("server"),
        "tls-key-file": certificates.key("server"),
        "tls-ca-cert-file": certificates.cert("ca"),
        "appendonly": "no",
        **more,
    }


@pytest.fixture
def serve(launch, certificates):
    def start(**more):
        settings = directives(certificates, **more)
        server = launch("redis", **settings)
        server.tls_port = settings["tls-port"]
        return server

    return start


def client(server, certificates, who="client", port=None, **options):
    cert = {"ssl_certfile": certificates.cert(who), "ssl_keyfile": certificates.key(who)} if who else {}
    return redis.Redis(host=server.host, port=port or server.tls_port, ssl=True, ssl_ca_certs=certificates.cert("ca"),
                       retry=Retry(NoBackoff(), 0), decode_responses=True, **cert, **options)


def plain(server):
    return redis.Redis(host=server.host, port=server.port_of("redis"), decode_responses=True)


def serial_seen(server, certificates):
    """Of the certificate that a newcomer is shown."""
    context = ssl.create_default_context(cafile=certificates.cert("ca"))
    context.load_cert_chain(certificates.cert("client"), certificates.key("client"))
    with socket.create_connection((server.host, server.tls_port)) as raw:
        with context.wrap_socket(raw, server_hostname="localhost") as s:
            return s.getpeercert()["serialNumber"]


def test_both_ports_show_the_same_keys(serve, certificates):
    server = serve()
    secure, open_to_all = client(server, certificates), plain(server)
    value = "x" * 3_000_000
    assert secure.set("k", value) and open_to_all.get("k") == value
    assert open_to_all.set("k", "short") and secure.get("k") == "short"
    with secure.pipeline(transaction=False) as pipe:
        for n in range(5000):
            pipe.set(f"key:{n}", n)
        assert all(pipe.execute())
    assert open_to_all.dbsize() == 5001
    told = open_to_all.info("tls")
    assert told["tls_server_cert_serial"] == certificates.serial("server")
    assert 0 < told["tls_server_cert_expires_in_seconds"] <= 2 * 86400
    listeners = [open_to_all.info("server")[f"listener{n}"] for n in (0, 1)]
    assert [one["name"] for one in listeners] == ["tcp", "tls"] and listeners[1]["port"] == server.tls_port


def test_a_client_shows_a_certificate_that_the_authority_signed(serve, certificates):
    server = serve()
    assert client(server, certificates).ping()
    for who in (None, "strange"):
        with pytest.raises(redis.ConnectionError):
            client(server, certificates, who).ping()
    assert server.metric("trivet_tls_failed_total") >= 2


def test_certificates_of_clients_may_be_optional_or_unasked(serve, certificates):
    server = serve(**{"tls-auth-clients": "optional"})
    assert client(server, certificates, None).ping() and client(server, certificates).ping()
    with pytest.raises(redis.ConnectionError):
        client(server, certificates, "strange").ping()
    assert plain(server).config_set("tls-auth-clients", "no")
    assert client(server, certificates, "strange").ping()
    assert plain(server).config_set("tls-auth-clients", "yes")
    with pytest.raises(redis.ConnectionError):
        client(server, certificates, None).ping()


def test_config_set_changes_the_certificate_for_newcomers_and_closes_nobody(serve, certificates):
    server = serve()
    early = client(server, certificates, single_connection_client=True)
    assert early.ping() and serial_seen(server, certificates).lstrip("0") == certificates.serial("server").lstrip("0")
    admin = plain(server)
    with pytest.raises(redis.ResponseError, match=MISSING):  # the key is another's
        admin.config_set("tls-cert-file", certificates.cert("renewed"))
    assert admin.config_get("tls-cert-file")["tls-cert-file"] == certificates.cert("server")
    admin.execute_command("CONFIG", "SET", "tls-cert-file", certificates.cert("renewed"), "tls-key-file",
                          certificates.key("renewed"))
    assert serial_seen(server, certificates).lstrip("0") == certificates.serial("renewed").lstrip("0")
    assert admin.info("tls")["tls_server_cert_serial"] == certificates.serial("renewed")
    assert early.ping()


def test_files_that_change_are_read_again_when_that_is_asked_for(serve, certificates, tmp_path, eventually):
    cert, key = tmp_path / "s.crt", tmp_path / "s.key"
    shutil.copy(certificates.cert("server"), cert)
    shutil.copy(certificates.key("server"), key)
    server = serve(**{"tls-cert-file": cert, "tls-key-file": key, "tls-auto-reload-interval": 1})
    early = client(server, certificates, single_connection_client=True)
    assert early.ping()
    shutil.copy(certificates.cert("renewed"), cert)  # with the old key for a moment, which must do no harm
    shutil.copy(certificates.key("renewed"), key)
    serial = certificates.serial("renewed")
    eventually(lambda: plain(server).info("tls")["tls_server_cert_serial"] == serial)
    assert client(server, certificates).ping() and early.ping()


def test_tls_port_comes_goes_and_moves(serve, certificates):
    server = serve(**{"tls-port": 0})
    admin, port = plain(server), free_port()
    assert "tls" not in admin.info("everything")
    admin.config_set("tls-port", port)
    early = client(server, certificates, port=port, single_connection_client=True)
    assert early.ping()
    with pytest.raises(redis.ResponseError, match="Unable to listen on this port"):
        admin.config_set("tls-port", server.port_of("redis"))
    assert client(server, certificates, port=port).ping()
    admin.config_set("tls-port", 0)
    with pytest.raises(redis.ConnectionError):
        client(server, certificates, port=port).ping()
    assert early.ping()


def test_settings_that_do_not_fit_are_refused_in_the_original_s_words(serve, certificates):
    server = serve()
    admin = plain(server)
    for name, value in (("tls-protocols", "SSLv3"), ("tls-ciphers", "NONE"), ("tls-ciphersuites", "NONE"),
                        ("tls-cert-file", "/nowhere"), ("tls-dh-params-file", "/nowhere"), ("tls-ca-cert-file", "")):
        with pytest.raises(redis.ResponseError) as told:
            admin.config_set(name, value)
        assert str(told.value) == f"CONFIG SET failed (possibly related to argument '{name}') - {MISSING}"
    assert client(server, certificates).ping()


def test_protocols_and_a_key_with_a_password(serve, certificates):
    server = serve(**{"tls-protocols": "TLSv1.2", "tls-key-file": certificates.lock_key("server", "pass word"),
                      "tls-key-file-pass": "pass word"})
    assert client(server, certificates).ping()
    context = ssl.create_default_context(cafile=certificates.cert("ca"))
    context.load_cert_chain(certificates.cert("client"), certificates.key("client"))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with socket.create_connection((server.host, server.tls_port)) as raw, pytest.raises(ssl.SSLError):
        context.wrap_socket(raw, server_hostname="localhost")


def test_redis_cli_speaks_tls(serve, certificates):
    if not shutil.which("redis-cli"):
        pytest.skip("no redis-cli installed")
    server = serve()
    command = ["redis-cli", "--tls", "-h", "localhost", "-p", str(server.tls_port), "--cacert", certificates.cert("ca"),
               "--cert", certificates.cert("client"), "--key", certificates.key("client")]
    lines = "".join(f"SET key:{n} {n}\r\n" for n in range(5000))
    told = subprocess.run([*command, "--pipe"], input=lines, capture_output=True, text=True, timeout=60, check=True)
    assert "errors: 0, replies: 5000" in told.stdout
    assert subprocess.run([*command, "DBSIZE"], capture_output=True, text=True, timeout=60).stdout == "5000\n"


IOREDIS = """
const Redis = require("ioredis"), fs = require("fs");
const [port, ca, cert, key] = process.argv.slice(2);
const redis = new Redis({ port: +port, host: "localhost",
  tls: { ca: fs.readFileSync(ca), cert: fs.readFileSync(cert), key: fs.readFileSync(key) } });
(async () => {
  await redis.set("greeting", "hello");
  const many = await Promise.all([...Array(500).keys()].map((n) => redis.incrby("sum", n)));
  console.log(JSON.stringify([await redis.get("greeting"), Math.max(...many)]));
  redis.disconnect();
})();
"""


def test_ioredis_with_a_client_certificate(serve, certificates, tmp_path):
    if not shutil.which("node") or not (NODE_MODULES / "ioredis").exists():
        pytest.skip("no node or no ioredis installed")
    server, script = serve(), tmp_path / "check.js"
    script.write_text(IOREDIS)
    told = subprocess.run(["node", str(script), str(server.tls_port), certificates.cert("ca"),
                           certificates.cert("client"), certificates.key("client")], capture_output=True, text=True,
                          timeout=60, env={"NODE_PATH": str(NODE_MODULES), "PATH": "/usr/bin:/bin:/usr/local/bin"})
    assert json.loads(told.stdout) == ["hello", 124750], told.stderr

"""TLS: Redis over TLS with and without a carrier against valkey-server over TLS, in operations per CPU-second.

Certificates are made for the run, of the same kind for both (ECDSA P-256), and connections stay open: a row is about records, not
handshakes. The last row is about handshakes: connections that come, ask once and go.
"""

import pathlib
import socket
import ssl
import subprocess
import tempfile

import redis_load
import table
from harness.certificates import Certificates
from harness.originals import Valkey
from harness.process import HOST, free_port
from harness.trivet import Trivet

ROWS = [("SET", 1), ("GET", 1), ("SET", 32), ("GET", 32)]
HANDSHAKES = 1500


def settings(certificates):
    return {"appendonly": "no", "tls-port": free_port(), "tls-cert-file": certificates.cert("server"),
            "tls-key-file": certificates.key("server"), "tls-auth-clients": "no"}  # fmt: skip


def measure(options):
    with tempfile.TemporaryDirectory() as path:
        certificates = Certificates(pathlib.Path(path))
        servers = []
        try:
            for make in (valkey, lambda s: trivet(s, 0), lambda s: trivet(s, 1)):
                chosen = settings(certificates)
                servers.append((make(chosen), chosen["tls-port"]))
                servers[-1][0].start()
            yield from compare(servers, certificates, options)
        finally:
            for server, _ in servers:
                server.close()


def valkey(chosen):
    return Valkey(chosen)


def trivet(chosen, carriers):
    return Trivet({"redis": chosen}, args=["--carriers", str(carriers)])


def compare(servers, certificates, options):
    yield from table.header("Redis over TLS: operations per CPU-second", ["Valkey", "Trivet", "Trivet, 1 carrier"], "ratio")
    for name, pipeline in ROWS:
        count = int(redis_load.COUNTS[pipeline] * options.scale)
        yield from row(f"{name} P={pipeline}", servers, options, count,
                       lambda port: load(port, certificates, redis_load.ROWS[name], pipeline, count))  # noqa: B023
    yield from row("handshakes", servers, options, HANDSHAKES, lambda port: shake(port, certificates))


def row(label, servers, options, count, work):
    if options.rows and options.rows.lower() not in label.lower():
        return
    figures = [[] for _ in servers]
    for _ in range(options.rounds):
        for index, (server, port) in enumerate(servers):
            begun = server.cpu_seconds()
            work(port)
            figures[index].append(count / max(server.cpu_seconds() - begun, 0.01))
    yield table.row(label, figures)


def load(port, certificates, words, pipeline, count):
    command = ["redis-benchmark", "--tls", "--cacert", certificates.cert("ca"), "-h", HOST, "-p", str(port), "-c",
               str(redis_load.CLIENTS), "-n", str(count), "-P", str(pipeline), "-r", str(redis_load.KEYS), "-q", *words]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)


def shake(port, certificates):
    context = ssl.create_default_context(cafile=certificates.cert("ca"))
    for _ in range(HANDSHAKES):
        with socket.create_connection((HOST, port)) as raw, context.wrap_socket(raw, server_hostname="localhost") as s:
            s.sendall(b"PING\r\n")
            assert s.recv(7) == b"+PONG\r\n"

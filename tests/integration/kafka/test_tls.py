"""Listeners by name, in plain text and with TLS: what each tells its clients, PEM and PKCS#12, certificates of clients."""

import json
import shutil

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from harness import java
from harness.process import HOST, free_port
from kazoo.client import KazooClient

MEGABYTES = 8


def listeners(certificates, **more):
    """Settings of a plain listener and one with TLS, and the two ports."""
    plain, secure = free_port(), free_port()
    return plain, secure, {
        "listeners": f"OPEN://{HOST}:{plain},SAFE://{HOST}:{secure}",
        "listener.security.protocol.map": "OPEN:PLAINTEXT,SAFE:SSL",
        "advertised.listeners": f"OPEN://{HOST}:{plain},SAFE://localhost:{secure}",
        "ssl.keystore.type": "PKCS12",
        "ssl.keystore.location": certificates.store("server"),
        "ssl.keystore.password": "secret",
        **more,
    }


def trusting(certificates, port, **more):
    return {"bootstrap.servers": f"localhost:{port}", "security.protocol": "ssl",
            "ssl.ca.location": certificates.cert("ca"), **more}


def told(settings):
    (broker,) = AdminClient(settings).list_topics(timeout=60).brokers.values()
    return broker.host, broker.port


def produce(settings, topic, values):
    producer, failed = Producer({**settings, "linger.ms": 5}), []
    for value in values:
        producer.produce(topic, value, callback=lambda err, _: failed.append(err) if err else None)
    assert producer.flush(60) == 0 and not failed


def consume(settings, topic, count):
    consumer = Consumer({**settings, "group.id": "g", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    values = []
    while len(values) < count:
        (message,) = consumer.consume(1, timeout=60)
        assert not message.error()
        values.append(message.value())
    consumer.close()
    return values


def test_each_listener_tells_its_own_address_and_both_show_the_same_records(launch, certificates):
    plain, secure, settings = listeners(certificates)
    server = launch("kafka", **settings)
    over_tls, in_plain = trusting(certificates, secure), {"bootstrap.servers": f"{HOST}:{plain}"}
    assert told(over_tls) == ("localhost", secure) and told(in_plain) == (HOST, plain)
    values = [bytes([n % 251]) * 100_000 for n in range(MEGABYTES * 10)]  # sent from files, and not by sendfile
    produce(over_tls, "t", values)
    assert consume(over_tls, "t", len(values)) == values
    client = KazooClient(f"{HOST}:{server.port_of('zookeeper')}")
    client.start(timeout=60)
    broker = json.loads(client.get("/brokers/ids/1")[0])
    client.stop()
    assert broker["listener_security_protocol_map"] == {"OPEN": "PLAINTEXT", "SAFE": "SSL"}
    assert broker["endpoints"] == [f"OPEN://{HOST}:{plain}", f"SAFE://localhost:{secure}"]


def test_clients_show_certificates_where_they_are_required(launch, certificates):
    """And all of it in PEM, as texts and as files."""
    texts = {"ssl.keystore.type": "PEM", "ssl.truststore.type": "PEM", "ssl.client.auth": "required",
             "ssl.truststore.location": certificates.cert("ca")}
    joined = certificates.path / "joined.pem"
    joined.write_text(open(certificates.cert("server")).read() + open(certificates.key("server")).read())
    _, secure, settings = listeners(certificates, **texts)
    settings["ssl.keystore.location"] = str(joined)
    launch("kafka", **settings)
    pair = {"ssl.certificate.location": certificates.cert("client"), "ssl.key.location": certificates.key("client")}
    assert told(trusting(certificates, secure, **pair)) == ("localhost", secure)
    with pytest.raises(KafkaException):
        AdminClient(trusting(certificates, secure)).list_topics(timeout=3)


@pytest.mark.parametrize("changed, why", [
    ({"ssl.keystore.location": ""}, "SSL listeners need ssl.keystore.location"),
    ({"ssl.keystore.password": "wrong"}, "the password does not open"),
    ({"ssl.client.auth": "required"}, "ssl.client.auth needs ssl.truststore.location"),
    ({"listener.security.protocol.map": "OPEN:PLAINTEXT"}, "no protocol is given for SAFE"),
    ({"listener.security.protocol.map": "OPEN:PLAINTEXT,SAFE:SASL_SSL"}, "SAFE is not there yet, only PLAINTEXT and SSL"),
    ({"listeners": "OPEN://:9093,OPEN://:9094"}, "OPEN is there twice"),
])
def test_what_does_not_fit_ends_the_start_with_one_line(launch, certificates, changed, why):
    with pytest.raises(Exception, match=why):
        launch("kafka", **(listeners(certificates)[2] | changed))


def test_a_jks_store_is_refused_with_the_way_out(launch, certificates, tmp_path):
    (tmp_path / "old.jks").write_bytes(bytes.fromhex("feedfeed00000002") + bytes(100))
    settings = listeners(certificates)[2] | {"ssl.keystore.location": tmp_path / "old.jks"}
    with pytest.raises(Exception, match="a JKS keystore is not read, only PKCS#12 and PEM"):
        launch("kafka", **settings)


def test_java_s_client_speaks_tls(launch, certificates, tmp_path):
    if not shutil.which("java"):
        pytest.skip("no java installed")
    _, secure, settings = listeners(certificates)
    launch("kafka", **settings)
    (tmp_path / "client.properties").write_text(
        f"security.protocol=SSL\nssl.truststore.type=PEM\nssl.truststore.location={certificates.cert('ca')}\n")
    told = java.run("kafka", "org.apache.kafka.tools.ClusterTool", "list-endpoints", "--bootstrap-server",
                    f"localhost:{secure}", "--config", str(tmp_path / "client.properties"))
    assert "localhost" in told and str(secure) in told

"""The environment variables of the email service, each at work."""

import json
import subprocess

import pytest
from harness import process, trivet

from .programs import folder

pytestmark = pytest.mark.trivet_only
PASSWORD = "p@ss word"


@pytest.mark.parametrize("as_url", [True, False])
def test_password_and_names_come_from_the_environment(programs, as_url):
    port = process.free_port()
    servers = {"trivet": trivet.Trivet({"redis": {"port": port, "requirepass": PASSWORD}})}
    redis = {"REDIS_URL": f"redis://:p%40ss%20word@{process.HOST}:{port}/3"}
    parts = {"REDIS_URL": "", "REDIS_HOST": process.HOST, "REDIS_PORT": str(port), "REDIS_PASSWORD": PASSWORD}
    p = programs("atomic", servers, KAFKA_TOPIC_EVENTS="letters", KAFKA_CLIENT_ID="post", **(redis if as_url else parts))
    email = p.post().document["id"]
    p.wait_for(lambda: p.status_of(email) == "sent")
    assert [json.loads(record.value())["id"] for record in p.records("letters")] == [email]


@pytest.mark.parametrize(
    "name, value, wanted",
    [
        ("EMAIL_MODE", "both", "portable or atomic"), ("REDIS_URL", "http://x", "redis://"), ("REDIS_PORT", "99999", "a number from"),
        ("ZOOKEEPER_PORT", "x", "a number from"), ("SMTP_URL", "ftp://x", "smtp://"), ("EMAIL_RATE_MAX", "0", "a number from"),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_named_with_what_would_fit(built, name, value, wanted):
    for program in ("email-service", "email-worker"):
        done = subprocess.run([folder() / program], env={name: value}, capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and name in done.stderr and value in done.stderr and wanted in done.stderr


def with_sasl(kafka):
    """The broker asks for a name and a password on its only port for clients."""
    users = f'username="broker" password="of-its-own" user_broker="of-its-own" user_email="{PASSWORD}"'
    listener = f"SASL_PLAINTEXT://{process.HOST}:{kafka.port}"
    kafka.directives = {
        "listeners": f"{listener},CONTROLLER://{process.HOST}:{kafka.controller_port}", "advertised.listeners": listener,
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
        "inter.broker.listener.name": "SASL_PLAINTEXT", "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.enabled.mechanisms": "PLAIN", "listener.name.sasl_plaintext.plain.sasl.jaas.config":
            f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};",
    }  # fmt: skip


def test_kafkas_name_and_password_come_from_the_environment(programs, all_originals):
    with_sasl(all_originals["kafka"])
    p = programs("portable", all_originals, KAFKA_SASL_USERNAME="email", KAFKA_SASL_PASSWORD=PASSWORD)
    email = p.post().document["id"]
    p.wait_for(lambda: p.status_of(email) == "sent")
    p.kill("service")
    p.settings["KAFKA_SASL_PASSWORD"] = "another"
    p.launch("service", "email-service")
    p.wait_for(lambda: p.ask("GET", "/healthz").status == 503)
    assert p.ask("GET", "/healthz").document["backend"] == "Kafka"
    assert p.post(body="another").status == 503

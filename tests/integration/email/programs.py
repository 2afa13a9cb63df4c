"""The programs of examples/email, a service, workers and an SMTP sink, on Trivet or on the originals."""

import collections
import contextlib
import http.client
import json
import os
import pathlib
import signal
import subprocess
import time

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from harness import originals, process, trivet
from wire import resp

PROGRAMS = ("email-service", "email-worker", "email-sink")
HOST = process.HOST
SETTINGS = {"EMAIL_LEASE_MS": "2000", "EMAIL_BACKOFF_MS": "100", "EMAIL_ATTEMPTS_MAX": "3", "EMAIL_RATE_MAX": "5"}

Answer = collections.namedtuple("Answer", "status document headers")


def folder():
    return trivet.binary().parent / "examples" / "email"


def missing():
    return [name for name in PROGRAMS if not (folder() / name).exists()]


def on_trivet():
    return {"trivet": trivet.Trivet({"redis": {"appendfsync": "always"}})}


def on_originals():
    """Debian's own Redis, not Valkey: what is compared with is what a Debian machine has. Synced as on_trivet() is: with
    everysec, while a sync takes long, Redis acknowledges what it has not even written."""
    settings = {"appendonly": "yes", "appendfsync": "always"}
    redis = originals.Valkey(settings, program="redis-server")
    return {"redis": redis, "kafka": originals.Kafka(), "zookeeper": originals.ZooKeeper()}


class Programs:
    """All of one run. Each program's words go to one file, shown when a test fails."""

    def __init__(self, mode, servers, settings, data):
        self.data = pathlib.Path(data)
        self.servers = servers
        self.mode, self.settings = mode, settings
        self.http, self.smtp = process.free_port(), process.free_port()
        self.running = {}

    def port_of(self, wing):
        return (self.servers.get("trivet") or self.servers[wing]).port_of(wing)

    def start(self):
        for server in self.servers.values():
            server.start()
        self.launch("sink", "email-sink", str(self.smtp), str(self.data / "mails.jsonl"))
        self.launch("service", "email-service")
        self.launch("worker", "email-worker")
        self.wait_for(lambda: self.ask("GET", "/healthz").status == 200)
        return self

    def environment(self):
        fixed = {
            "REDIS_URL": f"redis://{HOST}:{self.port_of('redis')}",
            "KAFKA_BROKERS": f"{HOST}:{self.port_of('kafka')}", "KAFKA_TOPIC_EVENTS": "emails",
            "ZOOKEEPER_HOST": HOST, "ZOOKEEPER_PORT": str(self.port_of("zookeeper")),
            "SMTP_URL": f"smtp://{HOST}:{self.smtp}", "HTTP_PORT": str(self.http), "EMAIL_MODE": self.mode,
        }  # fmt: skip
        return os.environ | trivet.SANITIZERS | SETTINGS | fixed | self.settings

    def launch(self, name, program, *args):
        with open(self.data / "programs.log", "ab") as log:
            self.running[name] = subprocess.Popen(
                [folder() / program, *args], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environment(), preexec_fn=process.die_with_parent,
            )  # fmt: skip

    def kill(self, name):
        self.running[name].kill()
        self.running[name].wait()

    def close(self):
        for one in self.running.values():
            if one.poll() is None:
                one.kill()
            one.wait()
        for server in self.servers.values():
            server.close()

    def wait_for(self, condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            for name, one in self.running.items():
                assert one.poll() in (None, -signal.SIGKILL), f"{name} ended with status {one.returncode}\n{self.log_tail()}"
            assert time.monotonic() < deadline, f"it never came true\n{self.log_tail()}"
            time.sleep(0.05)

    def log_tail(self):
        return "\n".join((self.data / "programs.log").read_text().splitlines()[-40:])

    # The service.
    def ask(self, method, path, body=None, headers=None):
        """An answer; its status is 0 when none came."""
        connection = http.client.HTTPConnection(HOST, self.http, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            text = response.read().decode()
            is_json = response.headers.get("Content-Type") == "application/json"
            return Answer(response.status, json.loads(text) if is_json else text, response.headers)
        except (OSError, http.client.HTTPException):
            return Answer(0, None, {})
        finally:
            connection.close()

    def post(self, to="ada@example.com", subject="Welcome", body="Hello", headers=None, **more):
        return self.ask("POST", "/emails", json.dumps({"to": to, "subject": subject, "body": body} | more), headers)

    def status_of(self, email):
        document = self.ask("GET", f"/emails/{email}").document
        return document.get("status") if isinstance(document, dict) else None

    # What it left behind.
    def mails(self):
        path = self.data / "mails.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def mailed_ids(self):
        return [mail["message_id"].strip("<>").split("@")[0] for mail in self.mails() if not mail["again"]]

    def redis(self, *command):
        connection = resp.Connection(self.port_of("redis"))
        try:
            return connection.ask(*command)[1]
        finally:
            connection.socket.close()

    def ledger(self):
        return [value.decode() for _, value in self.redis("LRANGE", "email:ledger", 0, -1)]

    def records(self, topic):
        """Every record of the topic's one partition."""
        consumer = Consumer({"bootstrap.servers": f"{HOST}:{self.port_of('kafka')}", "group.id": "reader",
                             "enable.partition.eof": True, "enable.auto.commit": False})  # fmt: skip
        found = []
        with contextlib.closing(consumer):
            consumer.assign([TopicPartition(topic, 0, 0)])
            while True:
                message = consumer.poll(20)
                assert message is not None, "no end of the partition within 20 s"
                if message.error():
                    assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                    return found
                found.append(message)

    def produce(self, topic, value):
        producer = Producer({"bootstrap.servers": f"{HOST}:{self.port_of('kafka')}"})
        producer.produce(topic, value)
        assert producer.flush(20) == 0

"""The originals: valkey-server, ZooKeeper and Kafka, behind the same interface as Trivet."""

import os
import pathlib
import shutil

from . import java
from .process import HOST, Server, answers, free_port

ZOOKEEPER_OPTIONS = {"admin.enableServer": "false", "4lw.commands.whitelist": "*", "extendedTypesEnabled": "true"}


class Valkey(Server):
    name = "valkey"

    def __init__(self, directives=None, data=None, program=None):
        super().__init__(data)
        self.directives = {"save": "", **(directives or {})}
        self.program = program or shutil.which("valkey-server") or "redis-server"
        self.port = int(self.directives.pop("port", 0)) or free_port()

    def command(self):
        fixed = [self.program, "--port", str(self.port), "--bind", HOST, "--dir", str(self.data)]
        fixed += ["--enable-debug-command", "yes", "--enable-protected-configs", "yes"]
        for key, value in self.directives.items():
            fixed += [f"--{key}", str(value)]
        return fixed

    def wait_ready(self):
        password = self.directives.get("requirepass")
        expected = b"-NOAUTH" if password else b"+PONG"
        self.wait_until(lambda: answers(self.port, b"PING\r\n", expected))

    def port_of(self, wing):
        assert wing == "redis"
        return self.port


class ZooKeeper(Server):
    name = "zookeeper"

    def __init__(self, directives=None, data=None, jvm=java.QUICK):
        super().__init__(data)
        self.port = free_port()
        self.directives = {"tickTime": 2000, **ZOOKEEPER_OPTIONS, **(directives or {})}
        # One that is read as a system property of this very name only.
        container_check = self.directives.pop("znode.container.checkIntervalMs", 60000)
        self.jvm = (*jvm, f"-Dznode.container.checkIntervalMs={container_check}")

    def command(self):
        config = self.data / "zoo.cfg"
        lines = {"dataDir": self.data / "tree", "clientPort": self.port, "clientPortAddress": HOST, **self.directives}
        config.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        jvm = (*self.jvm, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dzookeeper.maxCnxns=0")
        return java.command("zookeeper", main, config, jvm=jvm)

    def wait_ready(self):
        self.wait_until(lambda: answers(self.port, b"ruok", b"imok") and answers(self.port, b"isro", b"rw"))

    def port_of(self, wing):
        assert wing == "zookeeper"
        return self.port


class Kafka(Server):
    name = "kafka"
    API_VERSIONS_V0 = bytes.fromhex("0000000a 0012 0000 00000001 ffff")

    def __init__(self, directives=None, data=None, jvm=java.QUICK):
        super().__init__(data)
        self.port = free_port()
        self.controller_port = free_port()
        self.directives = directives or {}
        self.jvm = jvm

    def properties(self):
        defaults = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{HOST}:{self.controller_port}",
            "listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": self.data / "logs",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "group.consumer.assignment.interval.ms": 0,
        }
        return {**defaults, **self.directives}

    def command(self):
        config = self.data / "server.properties"
        config.write_text("".join(f"{key}={value}\n" for key, value in self.properties().items()))
        if not (self.data / "logs" / "meta.properties").exists():
            self._format(config)
        return java.command("kafka", "kafka.Kafka", config, jvm=self.jvm + java.LOGGED)

    def _format(self, config):
        """What kafka-storage.sh format writes does not depend on the ports, so it is made once and copied."""
        template = java.JARS / "kafka-formatted"
        if not (template / "meta.properties").exists():
            java.run("kafka", "kafka.tools.StorageTool", "format", "-t", "TrivetTestClusterId00A", "-c", config)
            partial = pathlib.Path(f"{template}.{os.getpid()}")
            shutil.copytree(self.data / "logs", partial)
            if template.exists():
                shutil.rmtree(template)
            partial.rename(template)
        else:
            shutil.copytree(template, self.data / "logs")

    def wait_ready(self):
        self.wait_until(lambda: answers(self.port, self.API_VERSIONS_V0, b"\x00\x00"))

    def port_of(self, wing):
        assert wing == "kafka"
        return self.port


ORIGINALS = {"redis": Valkey, "zookeeper": ZooKeeper, "kafka": Kafka}


def available(wing):
    """None, or why the original of this wing cannot be run here."""
    if wing == "redis":
        return None if shutil.which("valkey-server") or shutil.which("redis-server") else "no valkey-server installed"
    if not list((java.JARS / wing).glob("*.jar")):
        return f"no Java libraries in .cache/java/{wing}: run tools/install test"
    return None if shutil.which("java") else "no java"

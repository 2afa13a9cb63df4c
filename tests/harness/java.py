"""Where the Java libraries are and how their programs are run. Kept small: two cores, no warm-up worth paying for."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
JARS = ROOT / ".cache" / "java"
QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx512m")
SERVER = ("-XX:+UseSerialGC", "-Xmx1g")
QUIET = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=error",)
LOGGED = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",)


def command(library, main_class, *args, jvm=QUICK + QUIET):
    return ["java", *jvm, "-cp", f"{JARS / library}/*", main_class, *map(str, args)]


def run(library, main_class, *args, stdin=None, seconds=90, check=True):
    """Runs a program to its end and returns what it printed (stdout)."""
    done = subprocess.run(
        command(library, main_class, *args), input=stdin, capture_output=True, text=True, timeout=seconds, check=False
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{main_class} {args}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


class Kafka:
    """Kafka's own command-line tools, by the names of their scripts."""

    CLASSES = {
        "topics": "org.apache.kafka.tools.TopicCommand",
        "console-producer": "org.apache.kafka.tools.ConsoleProducer",
        "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
        "console-share-consumer": "org.apache.kafka.tools.consumer.ConsoleShareConsumer",
        "share-groups": "org.apache.kafka.tools.consumer.group.ShareGroupCommand",
        "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "configs": "org.apache.kafka.tools.ConfigCommand",
        "producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
        "consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
        "verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
        "verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
        "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
        "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
        "transactions": "org.apache.kafka.tools.TransactionsCommand",
        "dump-log": "org.apache.kafka.tools.DumpLogSegments",
        "broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    }

    def __init__(self, port, host="127.0.0.1"):
        self.bootstrap = f"{host}:{port}"

    def __call__(self, tool, *args, **options):
        if tool not in ("dump-log", "producer-perf-test"):
            args = ("--bootstrap-server", self.bootstrap, *args)
        return run("kafka", self.CLASSES[tool], *args, **options)

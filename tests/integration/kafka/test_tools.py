"""Kafka's own command-line tools (Java), kcat, and kafkajs."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from harness import java

from .conftest import send

CLIENTS = pathlib.Path(__file__).resolve().parents[2] / "clients" / "node"
NODE_MODULES = pathlib.Path(__file__).resolve().parents[3] / ".cache" / "node" / "node_modules"


def json_lines(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_kafka_topics_creates_lists_describes_alters_and_deletes(tools, name):
    assert f"Created topic {name}" in tools("topics", "--create", "--topic", name, "--partitions", 2, "--config", "retention.ms=9000")
    assert name in tools("topics", "--list").split()
    tools("topics", "--alter", "--topic", name, "--partitions", 3)
    told = tools("topics", "--describe", "--topic", name)
    assert re.search(r"TopicId: \S{22}", told) and "PartitionCount: 3" in told and "retention.ms=9000" in told
    assert len(re.findall(r"Partition: \d+\s+Leader: \d+\s+Replicas: \d+\s+Isr: \d+", told)) == 3
    tools("topics", "--delete", "--topic", name)
    assert name not in tools("topics", "--list").split()


def test_console_producer_and_consumer_pass_lines_in_a_group(tools, topic):
    name = topic()
    lines = [f"key{n}:line {n}" for n in range(20)]
    tools("console-producer", "--topic", name, "--reader-property", "parse.key=true", "--reader-property", "key.separator=:",
          stdin="\n".join(lines) + "\n")  # fmt: skip
    consume = ["--topic", name, "--group", name, "--formatter-property", "print.key=true", "--formatter-property", "key.separator=:",
               "--timeout-ms", 30000, "--max-messages"]  # fmt: skip
    assert tools("console-consumer", *consume, 12, "--from-beginning").splitlines() == lines[:12]
    assert tools("console-consumer", *consume, 8).splitlines() == lines[12:]
    told = tools("consumer-groups", "--describe", "--group", name)
    assert re.search(rf"{name}\s+{name}\s+0\s+20\s+20\s+0", told), told
    assert name in tools("consumer-groups", "--list").split()
    told = tools("consumer-groups", "--reset-offsets", "--group", name, "--topic", name, "--to-offset", 5, "--execute")
    assert re.search(rf"{name}\s+{name}\s+0\s+5", told), told
    tools("consumer-groups", "--delete", "--group", name)
    assert name not in tools("consumer-groups", "--list").split()


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_producer_perf_test_sends_all_its_records(tools, topic, producer, codec):
    name = topic(2)
    told = tools(
        "producer-perf-test", "--topic", name, "--num-records", 20000, "--record-size", 100, "--throughput", -1,
        "--producer-props", f"bootstrap.servers={tools.bootstrap}", f"compression.type={codec}",
    )  # fmt: skip
    assert "20000 records sent" in told
    offsets = tools("get-offsets", "--topic", name)
    assert sum(int(line.rpartition(":")[2]) for line in offsets.split()) == 20000


def test_verifiable_producer_and_consumer_agree_on_every_record(tools, topic):
    name = topic(3)
    produced = json_lines(tools("verifiable-producer", "--topic", name, "--max-messages", 5000, "--acks", -1))
    acknowledged = [line for line in produced if line["name"] == "producer_send_success"]
    assert len(acknowledged) == 5000
    command = java.command(
        "kafka", tools.CLASSES["verifiable-consumer"], "--bootstrap-server", tools.bootstrap, "--topic", name,
        "--group-id", name, "--max-messages", 5000, "--reset-policy", "earliest", "--verbose",
    )  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    events = json_lines(done.stdout)
    read = {(event["partition"], event["offset"]): event["value"] for event in events if event["name"] == "record_data"}
    assert {(line["partition"], line["offset"]): line["value"] for line in acknowledged} == read
    assert any(event["name"] == "offsets_committed" and event["success"] for event in events)


def test_kafka_configs_sets_describes_and_deletes(tools, topic):
    name = topic()
    entity = ["--entity-type", "topics", "--entity-name", name]
    tools("configs", "--alter", *entity, "--add-config", "retention.ms=5000,cleanup.policy=compact")
    told = tools("configs", "--describe", *entity)
    assert "retention.ms=5000" in told and "cleanup.policy=compact" in told
    tools("configs", "--alter", *entity, "--delete-config", "retention.ms")
    assert "retention.ms=5000" not in tools("configs", "--describe", *entity)


def test_kafka_configs_sets_describes_and_deletes_those_of_one_group(tools, name):
    entity = ["--entity-type", "groups", "--entity-name", name]
    tools("configs", "--alter", *entity, "--add-config", "consumer.session.timeout.ms=50000")
    assert "consumer.session.timeout.ms=50000" in tools("configs", "--describe", *entity)
    tools("configs", "--alter", *entity, "--delete-config", "consumer.session.timeout.ms")
    assert "consumer.session.timeout.ms=50000" not in tools("configs", "--describe", *entity)


def test_broker_api_versions_lists_what_is_served(tools):
    told = tools("broker-api-versions")
    for api in ("Produce(0)", "Fetch(1)", "Metadata(3)", "JoinGroup(11)", "InitProducerId(22)", "DescribeCluster(60)"):
        assert api in told, api
    assert "UNSUPPORTED" not in told.split("InitProducerId(22)")[1].split(",")[0]


def test_delete_records_moves_the_start_of_the_log(tools, topic, producer, tmp_path):
    name = topic()
    send(producer(), name, [(None, b"x")] * 10)
    wish = tmp_path / "offsets.json"
    wish.write_text(json.dumps({"version": 1, "partitions": [{"topic": name, "partition": 0, "offset": 6}]}))
    assert "low_watermark: 6" in tools("delete-records", "--offset-json-file", wish)


def test_dump_log_reads_the_segments_on_disk(tools, topic, kafka_server, producer):
    name = topic()
    send(producer(**{"compression.type": "lz4"}), name, [(b"k", b"value %d" % n) for n in range(300)])
    segment = next(kafka_server.data.rglob(f"{name}-0/00000000000000000000.log"))
    told = tools("dump-log", "--files", segment, "--print-data-log", "--deep-iteration")
    assert told.count("payload: value ") == 300 and "isvalid: true" in told and "isvalid: false" not in told
    for index in (segment.with_suffix(".index"), segment.with_suffix(".timeindex")):
        if index.exists():
            told = tools("dump-log", "--files", index, "--index-sanity-check")
            assert "Mismatch" not in told and "corrupt" not in told.lower()


@pytest.fixture
def kcat(bootstrap):
    if not shutil.which("kcat"):
        pytest.skip("no kcat installed")

    def run(*args, stdin=None):
        command = ["kcat", "-b", bootstrap, *map(str, args)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_kcat_produces_and_consumes_with_every_codec(kcat, topic, codec):
    name = topic()
    lines = "".join(f"k{n}:value {n}\n" for n in range(300))
    kcat("-P", "-t", name, "-K", ":", "-z", codec, "-H", "h=v", stdin=lines)
    assert kcat("-C", "-t", name, "-K", ":", "-e", "-q", "-o", "beginning") == lines
    assert kcat("-C", "-t", name, "-e", "-q", "-o", -1, "-f", "%o %h\n") == "299 h=v\n"


def test_kcat_lists_the_cluster_and_queries_offsets(kcat, topic):
    name = topic(2)
    listed = json.loads(kcat("-L", "-J", "-t", name))
    assert [len(one["partitions"]) for one in listed["topics"] if one["topic"] == name] == [2]
    kcat("-P", "-t", name, "-p", 1, stdin="a\nb\n")
    assert f"{name} [1] offset 2" in kcat("-Q", "-t", f"{name}:1:-1")
    assert f"{name} [1] offset 0" in kcat("-Q", "-t", f"{name}:1:-2")


def test_kcat_reads_in_a_group_until_the_end(kcat, topic):
    name = topic(2)
    kcat("-P", "-t", name, stdin="".join(f"{n}\n" for n in range(100)))
    got = kcat("-G", name, "-e", "-q", "-X", "auto.offset.reset=earliest", name)
    assert sorted(map(int, got.split())) == list(range(100))


def test_kafkajs_runs_its_script(bootstrap, name):
    if not shutil.which("node") or not NODE_MODULES.exists():
        pytest.skip("no Node.js packages: run tools/install test")
    done = subprocess.run(
        ["node", CLIENTS / "kafkajs_checks.js", bootstrap, name],
        env=os.environ | {"NODE_PATH": str(NODE_MODULES), "KAFKAJS_NO_PARTITIONER_WARNING": "1"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok ") == 6

"""Damaged files of a partition: that partition is offline, says why, and everything that can be served is served."""

import re
import socket

import pytest

from harness.process import HOST, ServerError
from harness.trivet import Trivet
from wire import kafka

from .test_descriptors import create, fetch, metric, produce

NONE, LEADER_NOT_AVAILABLE, STORAGE_ERROR = 0, 5, 56
pytestmark = pytest.mark.trivet_only


@pytest.fixture
def server():
    one = Trivet({"kafka": {"log.initial.task.delay.ms": 0}})
    yield one.start()
    one.close()


def connect(server):
    return kafka.Connection(server.port_of("kafka"))


def partition_dir(server, topic, index=0):
    return server.data / "kafka" / f"{topic}-{index}"


def fill(server, topic, count=12, partitions=2, **configs):
    """Records in the first partition, one record in the others."""
    with connect(server) as connection:
        create(connection, topic, partitions, retention_ms=-1, **configs)
        for n in range(count):
            assert produce(connection, topic, [0], b"v" * (1000 + 7 * n * n % 400), time=1_700_000_000_000 + 10 * n) == [NONE]
        for index in range(1, partitions):
            assert produce(connection, topic, [index]) == [NONE]


def segments(server, topic):
    return sorted(partition_dir(server, topic).glob("*.log"))


def partition_of(connection, topic, index):
    answer = connection.ask("Metadata", 12, topics=[{"id": bytes(16), "name": topic}], create=False, authorized=False)
    return next(one for one in answer["topics"][0]["partitions"] if one["index"] == index)


def http(server, path):
    with socket.create_connection((HOST, server.port_of("http")), timeout=10) as conn:
        conn.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return b"".join(iter(lambda: conn.recv(1 << 16), b"")).decode()


def log_text(server):
    return server.log_tail(1000)


def assert_offline(server, topic, *words):
    with connect(server) as connection:
        assert produce(connection, topic, [0]) == [STORAGE_ERROR]
        answer = connection.ask(
            "Fetch", 4, replica=-1, wait=0, min=0, max=1 << 20, isolation=0,
            topics=[{"name": topic, "partitions": [{"index": 0, "offset": 0, "max": 1 << 20}]}],
        )  # fmt: skip
        assert answer["topics"][0]["partitions"][0]["error"] == STORAGE_ERROR
        seen = partition_of(connection, topic, 0)
        assert (seen["error"], seen["leader"]) == (LEADER_NOT_AVAILABLE, -1)
        assert seen["offline"] == seen["replicas"]
        other = partition_of(connection, topic, 1)
        assert (other["error"], other["offline"]) == (NONE, [])
        assert fetch(connection, topic, [1])[1][0] == NONE
        assert produce(connection, topic, [1]) == [NONE]
    assert metric(server, "trivet_kafka_partitions_offline") == 1
    ready = http(server, "/readyz")
    assert " 503 " in ready.splitlines()[0] and f"{topic}-0" in ready
    lines = [line for line in log_text(server).splitlines() if f"{topic}-0" in line and "offline" in line]
    assert any(all(word in line for word in words) for line in lines), lines


def assert_whole(server, topic, count):
    with connect(server) as connection:
        found, offset = [], 0
        while offset < count:
            error, records = fetch(connection, topic, [0], offset=offset)[0]
            assert error == NONE
            found += [record[0] for record in records]
            offset = found[-1] + 1
        assert found == list(range(count))
    assert metric(server, "trivet_kafka_partitions_offline") == 0


@pytest.fixture(params=[False, True], ids=["stopped", "killed"])
def killed(request):
    return request.param


def stop(server, killed):
    """Stopped, or killed after the data has reached the disk as the checkpoints say."""
    if killed:
        server.kill9()
    else:
        server.stop()


def test_a_missing_sealed_segment_takes_its_partition_offline_until_it_is_back(server, killed):
    fill(server, "gap", segment_ms=1)
    stop(server, killed)
    one = segments(server, "gap")[2]
    one.rename(one.with_suffix(".taken"))
    server.start()
    assert_offline(server, "gap", one.name, "missing")
    server.stop()
    one.with_suffix(".taken").rename(one)
    server.start()
    assert_whole(server, "gap", 12)


def test_a_missing_sealed_segment_with_its_indexes_is_a_gap(server, killed):
    fill(server, "hole", segment_ms=1)
    stop(server, killed)
    files = segments(server, "hole")
    for path in partition_dir(server, "hole").glob(files[2].stem + ".*"):
        if path.suffix != ".snapshot":
            path.unlink()
    server.start()
    assert_offline(server, "hole", files[3].name, "missing")


def test_a_topic_is_deleted_though_a_partition_is_offline_and_its_directory_is_named(server):
    fill(server, "unwanted", segment_ms=1)
    server.stop()
    segments(server, "unwanted")[2].unlink()
    server.start()
    with connect(server) as connection:
        assert connection.ask("DeleteTopics", 3, topics=["unwanted"], timeout=10_000)["topics"][0]["error"] == NONE
        assert metric(server, "trivet_kafka_partitions_offline") == 0
        assert partition_dir(server, "unwanted").exists() and not partition_dir(server, "unwanted", 1).exists()
        lines = [line for line in log_text(server).splitlines() if "its directory stays" in line]
        assert len(lines) == 1 and f"directory={partition_dir(server, 'unwanted')}" in lines[0], lines
        create(connection, "unwanted", 2)
        assert produce(connection, "unwanted", [0, 1]) == [NONE, NONE]


def test_first_segments_that_somebody_removed_are_told_of(server):
    """As with Kafka the log begins behind them; a start that finds all of it says nothing."""
    fill(server, "front", segment_ms=1)
    server.stop()
    server.start()
    assert "first segments" not in log_text(server)
    server.stop()
    files = segments(server, "front")
    for path in partition_dir(server, "front").glob(files[0].stem + ".*"):
        path.unlink()
    start = int(files[1].stem)
    server.start()
    with connect(server) as connection:
        assert fetch(connection, "front", [0], offset=start)[0][0] == NONE
    lines = [line for line in log_text(server).splitlines() if "first segments of a partition are gone" in line]
    assert len(lines) == 1 and f"partition=front-0 missing=0-{start - 1} start={start}" in lines[0], lines


def test_a_tail_cut_below_what_was_synced_takes_its_partition_offline(server):
    fill(server, "short", 20)
    server.stop()
    last = segments(server, "short")[-1]
    before = last.stat().st_size
    with open(last, "r+b") as file:
        file.truncate(before // 2)
    server.start()
    assert_offline(server, "short", last.name)
    assert last.stat().st_size == before // 2


def test_valid_records_behind_invalid_ones_are_never_cut(server, killed):
    fill(server, "flip", 20)
    stop(server, killed)
    last = segments(server, "flip")[-1]
    data = bytearray(last.read_bytes())
    at = len(data) // 2
    data[at] ^= 1
    last.write_bytes(data)
    server.start()
    if killed:
        assert_offline(server, "flip", last.name, "valid batch")
    assert last.read_bytes() == bytes(data)


def test_a_missing_directory_is_not_made_anew(server):
    fill(server, "gone", 20)
    server.stop()
    partition_dir(server, "gone").rename(server.data / "taken")
    server.start()
    assert_offline(server, "gone", "gone-0")


def test_another_topics_id_puts_the_directory_aside_and_says_how_to_undo_it(server):
    fill(server, "alien", 20)
    server.stop()
    path = partition_dir(server, "alien") / "partition.metadata"
    ours = path.read_text()
    path.write_text(re.sub("topic_id: .{4}", "topic_id: AAAA", ours))
    server.start()
    line = next(line for line in log_text(server).splitlines() if "put aside" in line)
    stray = re.search(r" as=(\S+-stray)", line).group(1)
    server.stop()
    # What the line says.
    for file in partition_dir(server, "alien").iterdir():
        file.unlink()
    partition_dir(server, "alien").rmdir()
    (server.data / "kafka" / stray.rsplit("/", 1)[1]).rename(partition_dir(server, "alien"))
    second = re.search(r"write '(topic_id: [^']+)'", line).group(1)
    path.write_text(f"version: 0\n{second}\n")
    assert path.read_text().strip() == ours.strip()
    server.start()
    assert_whole(server, "alien", 20)


@pytest.mark.parametrize("text", ["version: 1\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA\n", "garbage", "x" * 5000])
def test_a_malformed_metadata_file_takes_its_partition_offline(server, text):
    fill(server, "meta", 5)
    server.stop()
    path = partition_dir(server, "meta") / "partition.metadata"
    ours = path.read_text()
    path.write_text(text)
    server.start()
    assert_offline(server, "meta", "partition.metadata")
    assert path.read_text() == text
    server.stop()
    path.write_text(ours)
    server.start()
    assert_whole(server, "meta", 5)


def test_a_topic_made_again_under_the_name_of_another_is_not_measured_by_it(server):
    fill(server, "again", 20)
    server.restart()
    with connect(server) as connection:
        answer = connection.ask("DeleteTopics", 3, topics=["again"], timeout=30000)
        assert answer["topics"][0]["error"] == NONE
        create(connection, "again", 2)
        assert produce(connection, "again", [0]) == [NONE]
    server.restart(kill=True)
    assert_whole(server, "again", 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version=9\ncluster.id={cluster}\nnode.id={node}\n", "is of version 9"),
        ("cluster.id={cluster}\nnode.id={node}\n", "is of version (none)"),
        ("version=1\ngarbage\n", "line 2"),
        ("\0" * 100, "line 1"),
        ("", "(none)"),
        ("version=1\ncluster.id={cluster}\nnode.id=77\n", "belongs to node.id 77"),
        ("version=1\ncluster.id={cluster}\nnode.id={node}x\n", "belongs to node.id"),
        ("version=1\ncluster.id=short\nnode.id={node}\n", "belongs to cluster short"),
    ],
)
def test_meta_properties_that_are_not_ours_are_refused_in_a_sentence(server, text, words):
    server.stop()
    path = server.data / "kafka" / "meta.properties"
    ours = path.read_text()
    known = dict(line.split("=", 1) for line in ours.splitlines() if "=" in line)
    path.write_text(text.format(cluster=known["cluster.id"], node=known["node.id"]))
    with pytest.raises(ServerError):
        server.start()
    assert words in log_text(server)
    path.write_text(f"version=0\ncluster.id={known['cluster.id']}\nbroker.id={known['node.id']}\n")
    server.start()


@pytest.mark.parametrize("kind", [".index", ".timeindex"])
@pytest.mark.parametrize("harm", ["zero", "cut", "swap"])
def test_a_wrong_index_is_made_anew_with_a_line_and_nothing_is_missing(server, kind, harm):
    fill(server, "idx", 80, segment_bytes=1 << 20, segment_index_bytes=60)  # a few entries to a segment
    server.stop()
    files = sorted(partition_dir(server, "idx").glob("*" + kind))
    assert len(files) > 3
    one, other = files[1], files[2]
    data = one.read_bytes()
    one.write_bytes({"zero": bytes(len(data)), "cut": data[: len(data) // 2 + 1], "swap": other.read_bytes()}[harm])
    server.start()
    assert_whole(server, "idx", 80)
    with connect(server) as connection:
        for n in range(80):
            topics = [{"name": "idx", "partitions": [{"index": 0, "epoch": -1, "time": 1_700_000_000_000 + 10 * n}]}]
            answer = connection.ask("ListOffsets", 5, replica=-1, isolation=0, topics=topics)
            part = answer["topics"][0]["partitions"][0]
            assert (part["error"], part["offset"]) == (NONE, n)
    assert "made anew" in log_text(server)


@pytest.mark.parametrize("text", ["", "\0" * 20, "garbage", "0\n1\n5 0\n", "0\n2\n0 0\n1 3\n", "0\n1\n0 4\n"])
def test_leader_epochs_that_do_not_fit_the_log_are_made_anew(server, text):
    fill(server, "epochs", 8)
    server.stop()
    path = partition_dir(server, "epochs") / "leader-epoch-checkpoint"
    path.write_text(text)
    server.start()
    assert_whole(server, "epochs", 8)
    with connect(server) as connection:
        topics = [{"name": "epochs", "partitions": [{"index": 0, "current": -1, "epoch": 0}]}]
        part = connection.ask("OffsetForLeaderEpoch", 3, replica=-1, topics=topics)["topics"][0]["partitions"][0]
        assert (part["error"], part["epoch"], part["end"]) == (NONE, 0, 8)
    assert "leader-epoch-checkpoint did not fit" in log_text(server)


def test_a_wrong_digit_in_a_log_start_hides_no_record(server):
    fill(server, "hidden", 8)
    server.stop()
    path = server.data / "kafka" / "log-start-offset-checkpoint"
    text = path.read_text()
    assert "hidden 0 0" in text
    path.write_text(text.replace("hidden 0 0", "hidden 0 5"))
    server.start()
    assert_whole(server, "hidden", 8)
    assert "a checkpoint is damaged" in log_text(server)


@pytest.mark.parametrize("harm", ["zero", "cut", "foreign", "garbage"])
@pytest.mark.parametrize("name", ["recovery-point-offset", "log-start-offset", "replication-offset", "cleaner-offset"])
def test_a_damaged_checkpoint_is_told_and_made_anew(server, name, harm):
    fill(server, "checked", 8)
    server.stop()
    path = server.data / "kafka" / f"{name}-checkpoint"
    data = path.read_bytes() if path.exists() else b"0\n1\nnobody 0 1\n"
    path.write_bytes({"zero": bytes(len(data)), "cut": data[:-3], "foreign": b"1\n0\n", "garbage": b"\xff{}"}[harm])
    server.start()
    assert_whole(server, "checked", 8)
    assert any("a checkpoint is damaged" in line and name in line for line in log_text(server).splitlines())
    server.restart()
    assert_whole(server, "checked", 8)
    assert log_text(server).count("a checkpoint is damaged") <= 1 or name == "cleaner-offset"


def test_a_missing_recovery_point_makes_a_clean_stop_count_for_nothing(server):
    fill(server, "unsure", 8)
    server.stop()
    (server.data / "kafka" / "recovery-point-offset-checkpoint").unlink()
    last = segments(server, "unsure")[-1]
    data = bytearray(last.read_bytes())
    data[len(data) // 2] ^= 1
    last.write_bytes(data)
    server.start()
    assert_offline(server, "unsure", last.name, "valid batch")


@pytest.mark.parametrize("how", ["fetch", "time"])
def test_records_that_cannot_be_found_any_more_are_told_of_once(server, how):
    """A clean stop lets the next start believe sealed segments: whoever comes upon the damage hears of it, and so does the log."""
    fill(server, "hole", count=20, internal_segment_bytes=6000, index_interval_bytes=1000)
    server.stop()
    sealed = segments(server, "hole")[1]
    first = int(sealed.stem)
    raw = sealed.read_bytes()
    sealed.write_bytes(b"\xff" * 61 + raw[61:])
    server.start()
    with connect(server) as connection:
        for _ in range(2):
            if how == "fetch":
                assert fetch(connection, "hole", [0], offset=first)[0][0] == STORAGE_ERROR
            else:
                topics = [{"name": "hole", "partitions": [{"index": 0, "epoch": -1, "time": 1_700_000_000_000 + 10 * first}]}]
                answer = connection.ask("ListOffsets", 5, replica=-1, isolation=0, topics=topics)
                assert answer["topics"][0]["partitions"][0]["error"] == STORAGE_ERROR
        assert fetch(connection, "hole", [0])[0][0] == NONE  # what lies before it is served
    lines = [line for line in log_text(server).splitlines() if "cannot be read where they were" in line]
    assert len(lines) == 1 and "partition=hole-0" in lines[0] and "trivet check" in lines[0], lines

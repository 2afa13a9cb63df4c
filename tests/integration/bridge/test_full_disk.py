"""The disk is full: a step is there with all that belongs to it or not at all, and the error says why."""

import subprocess

import pytest
from confluent_kafka import Consumer, TopicPartition

from .conftest import info_of, values_of, wait_for
from .test_commit import LOAD_IN_PROGRESS, fetch, settle

pytestmark = pytest.mark.trivet_only

DISK_BYTES = 48 << 20
VALUE = "x" * 50_000


@pytest.fixture
def small_disk(tmp_path):
    """small_disk(path): a disk of its own under the test's directory."""
    mounted = []

    def mount(name):
        disk = tmp_path / name
        disk.mkdir(parents=True)
        how = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", disk]
        if subprocess.run(how, capture_output=True, check=False).returncode != 0:
            pytest.skip("needs the right to mount a tmpfs")
        mounted.append(disk)
        return disk

    yield mount
    for disk in mounted:
        subprocess.run(["umount", "-l", disk], check=True)


def fill(disk):
    with pytest.raises(OSError), (disk / "filler").open("wb", buffering=0) as file:  # noqa: PT011
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                if size == 1:
                    raise


def steps(connection, how, numbers):
    """Sends them until one fails; its error."""
    for n in numbers:
        commands = [["SET", f"k{n}", n], ["KAFKA.PRODUCE", "t", "KEY", n, VALUE], ["KAFKA.COMMIT", "g", "t", 0, n]]
        if how == "script":
            script = """redis.call('SET', 'k' .. ARGV[1], ARGV[1]) redis.call('KAFKA.PRODUCE', 't', 'KEY', ARGV[1], ARGV[2])
                        return redis.call('KAFKA.COMMIT', 'g', 't', 0, ARGV[1])"""
            replies = [connection.ask("EVAL", script, 0, n, VALUE)]
        else:
            replies = [connection.ask("MULTI"), *(connection.ask(*c) for c in commands), connection.ask("EXEC")]
        if replies[-1][0] == "-":
            return [text for tag, text in replies if tag == "-"]
    raise AssertionError("the disk never filled")


def check_whole(server, connection, sent):
    """For each step: the key and the record, or neither; the position is the last key's."""
    wait_for(lambda: info_of(connection)["depth"] == 0)
    found = values_of(server, "t")
    there = [n for n in range(1, sent) if connection.ask("EXISTS", f"k{n}") == (":", 1)]
    assert found == [b"first"] + [VALUE.encode()] * len(there)
    last = connection.ask("KAFKA.COMMITTED", "g", "t", 0)[1]
    assert last == (there[-1] if there else None)
    return there


@pytest.mark.parametrize("how", ["transaction", "script"])
@pytest.mark.parametrize("fsync", ["everysec", "always"])
def test_nothing_is_half_done(start, connect, small_disk, how, fsync):
    disk = small_disk("disk")
    server = start(redis={"appendfsync": fsync, "auto-aof-rewrite-percentage": 0}, data=disk / "data")
    connection = connect(server)
    connection.ask("KAFKA.PRODUCE", "t", "first")
    connection.ask("KAFKA.COMMIT", "another", "t", 0, 1)
    settle(server, "another", 1)  # the topic of positions is there
    fill(disk)
    errors = steps(connection, how, range(1, 200))
    assert any("No space left on device" in text for text in errors), errors
    tag, text = connection.ask("KAFKA.COMMIT", "g", "t", 0, 1)
    assert tag == "-" and text.startswith("MISCONF")
    (disk / "filler").unlink()
    wait_for(lambda: connection.ask("SET", "again", 1) == ("+", "OK"))
    there = check_whole(server, connection, 200)
    assert there, "what was answered is there"
    server.restart(kill=True)
    assert check_whole(server, connect(server), 200) == there


def test_with_kafkas_disk_full_steps_wait_and_nobody_reads_an_old_position(start, connect, transact, small_disk):
    disk = small_disk("data/kafka")
    server = start(data=disk.parent)
    connection = connect(server)
    connection.ask("KAFKA.PRODUCE", "t", "first")
    connection.ask("KAFKA.COMMIT", "g", "t", 0, 1)
    settle(server, "g", 1)
    fill(disk)
    for n in range(2, 6):
        reply = transact(connection, ["SET", "state", n], ["KAFKA.PRODUCE", "t", VALUE], ["KAFKA.COMMIT", "g", "t", 0, n])
        assert reply[0] == "*"
    wait_for(lambda: b"STORAGE_ERROR" in info_of(connection)["last-error"])
    assert info_of(connection)["depth"] > 0
    reply = transact(connection, ["SET", "state", 3], ["KAFKA.COMMIT", "g", "t", 0, 3, "METADATA", "x" * 4096])
    assert reply[0] == "*"
    assert connection.ask("KAFKA.COMMITTED", "g", "t", 0) == (":", 3)
    assert fetch(server, "g")[0] == LOAD_IN_PROGRESS
    assert info_of(connection)["positions"] == 1
    consumer = Consumer({"bootstrap.servers": f"127.0.0.1:{server.port_of('kafka')}", "group.id": "g",
                         "enable.auto.commit": False, "auto.offset.reset": "earliest"})  # fmt: skip
    consumer.assign([TopicPartition("t", 0)])
    assert consumer.poll(1.5) is None, "it must wait until it can know where it was"
    (disk / "filler").unlink()
    message = consumer.poll(20)
    assert message.error() is None and message.offset() == 3
    consumer.close()
    settle(server, "g", 3)
    wait_for(lambda: info_of(connection)["depth"] == 0)
    assert values_of(server, "t") == [b"first"] + [VALUE.encode()] * 4
    server.restart(kill=True)
    settle(server, "g", 3)
    assert values_of(server, "t") == [b"first"] + [VALUE.encode()] * 4

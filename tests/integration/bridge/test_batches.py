"""How records of the outbox lie in their partitions: batches, compression, the partition of a key."""

import random
import re
import string

import pytest
from harness.java import Kafka
from harness.process import ServerError

from .conftest import info_of, make_topic, records_of, values_of, wait_for

pytestmark = pytest.mark.trivet_only

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def batches_of(server, topic, partition=0):
    """(codec, records, first and last sequence) of each batch, as Kafka's own tool reads them."""
    tools = Kafka(server.port_of("kafka"))
    segment = server.data / "kafka" / f"{topic}-{partition}" / ("0" * 20 + ".log")
    text = tools("dump-log", "--files", segment)
    pattern = r"count: (\d+) baseSequence: (-?\d+) lastSequence: (-?\d+).*?compresscodec: (\w+)"
    return [(codec.lower(), int(count), int(first), int(last)) for count, first, last, codec in re.findall(pattern, text)]


def delivered(connection):
    wait_for(lambda: info_of(connection)["depth"] == 0)


def test_records_of_one_step_are_one_batch_whose_last_sequence_is_the_last_number(start, connect, transact):
    server = start()
    make_topic(server, "a")
    make_topic(server, "b")
    connection = connect(server)
    commands = [["KAFKA.PRODUCE", "ab"[n % 2], f"v{n}"] for n in range(20)]
    assert [number for _, number in transact(connection, *commands)[1]] == list(range(1, 21))
    delivered(connection)
    assert values_of(server, "a") == [b"v%d" % n for n in range(0, 20, 2)]
    assert values_of(server, "b") == [b"v%d" % n for n in range(1, 20, 2)]
    assert batches_of(server, "a") == [("none", 10, 10, 19)]
    assert batches_of(server, "b") == [("none", 10, 11, 20)]


def test_a_batch_is_given_again_as_part_of_a_larger_one(start, connect, transact):
    """Killed before anything is struck off: what was a batch comes again, and with it, in one queue, what came later."""
    server = start()
    make_topic(server, "t")
    connection = connect(server)
    for at in range(0, 60, 5):
        transact(connection, *[["KAFKA.PRODUCE", "t", n] for n in range(at, at + 5)])
        if at % 20 == 15:
            server.restart(kill=True)
            connection = connect(server)
    delivered(connection)
    assert values_of(server, "t") == [b"%d" % n for n in range(60)]


def test_large_records_go_alone_and_small_ones_together(start, connect, transact):
    server = start()
    make_topic(server, "t", max_message_bytes=2000)
    connection = connect(server)
    sizes = [10, 10, 1500, 1500, 10, 900, 900, 900]
    transact(connection, *[["KAFKA.PRODUCE", "t", "x" * size] for size in sizes])
    delivered(connection)
    assert [len(value) for value in values_of(server, "t")] == sizes
    counts = [count for _, count, _, _ in batches_of(server, "t")]
    assert sum(counts) == len(sizes) and 3 < len(counts) < len(sizes)


@pytest.mark.parametrize("codec", CODECS)
def test_records_are_compressed_as_a_producers_would_be(start, connect, transact, codec):
    server = start(trivet={"produce.compression.type": codec})
    make_topic(server, "t")
    connection = connect(server)
    values = [f"value number {n} " * 5 for n in range(100)]
    transact(connection, *[["KAFKA.PRODUCE", "t", "KEY", n, "HEADER", "h", "x", v] for n, v in enumerate(values)])
    delivered(connection)
    assert connection.ask("KAFKA.PRODUCE", "t", "KEY", "alone", "straight")[0] == "*"
    found = records_of(server, "t")
    assert [record[3].decode() for record in found] == [*values, "straight"]
    assert found[7][2] == b"7" and found[7][4] == [("h", b"x")]
    batches = batches_of(server, "t")
    assert {batch[0] for batch in batches} == {codec} and sum(batch[1] for batch in batches) == 101
    if codec != "none":
        assert (server.data / "kafka" / "t-0" / ("0" * 20 + ".log")).stat().st_size < sum(map(len, values)) / 2
    printed = Kafka(server.port_of("kafka"))(
        "console-consumer", "--topic", "t", "--from-beginning", "--max-messages", 101, "--timeout-ms", 20000
    )
    assert printed.splitlines() == [*values, "straight"]


@pytest.mark.parametrize("own", ["uncompressed", "gzip", "snappy", "lz4", "zstd", "producer"])
def test_a_topics_own_compression_is_the_last_word(start, connect, transact, own):
    server = start(trivet={"produce.compression.type": "snappy"})
    make_topic(server, "t", compression_type=own)
    connection = connect(server)
    transact(connection, *[["KAFKA.PRODUCE", "t", f"value {n}"] for n in range(20)])
    delivered(connection)
    assert values_of(server, "t") == [b"value %d" % n for n in range(20)]
    assert {batch[0] for batch in batches_of(server, "t")} == {{"uncompressed": "none", "producer": "snappy"}.get(own, own)}


@pytest.mark.parametrize("codec", CODECS)
def test_max_message_bytes_is_what_the_batch_takes_when_compressed(start, connect, transact, codec):
    server = start(trivet={"produce.compression.type": codec})
    connection = connect(server)
    make_topic(server, "t")
    letters = random.Random(7)
    noise = "".join(letters.choice(string.printable) for _ in range(1_600_000))
    even = "x" * 1_600_000
    tag, text = transact(connection, ["SET", "a", 1], ["KAFKA.PRODUCE", "t", noise])
    assert tag == "-" and "command 2 of 2 (KAFKA.PRODUCE)" in text and "MESSAGE_TOO_LARGE" in text
    assert connection.ask("EXISTS", "a") == (":", 0)
    tag, _ = transact(connection, ["SET", "a", 1], ["KAFKA.PRODUCE", "t", even])
    assert tag == ("-" if codec == "none" else "*")
    delivered(connection)
    assert [len(value) for value in values_of(server, "t")] == ([] if codec == "none" else [len(even)])


def test_around_the_limit_what_was_promised_is_delivered(start, connect, transact):
    """Random bytes, which compression makes longer: whatever EXEC takes its partition takes too."""
    server = start(trivet={"produce.compression.type": "snappy"})
    connection = connect(server)
    make_topic(server, "t", max_message_bytes=20_000)
    make_topic(server, "g", max_message_bytes=20_000, compression_type="gzip")
    noise, taken = random.Random(7), 0
    for size in range(19_500, 20_100, 25):
        for topic in ("t", "g"):
            taken += transact(connection, ["KAFKA.PRODUCE", topic, noise.randbytes(size)])[0] == "*"
    assert 0 < taken < 48
    delivered(connection)
    assert len(values_of(server, "t")) + len(values_of(server, "g")) == taken


def test_a_codec_that_there_is_not(start):
    with pytest.raises(ServerError, match="produce.compression.type is none, gzip, snappy, lz4 or zstd, not 'brotli'"):
        start(trivet={"produce.compression.type": "brotli"})


def test_a_key_goes_where_the_java_client_puts_it(start, connect, transact):
    server = start()
    make_topic(server, "java", partitions=7)
    make_topic(server, "bridge", partitions=7)
    make_topic(server, "straight", partitions=7)
    letters = random.Random(3)
    alphabet = string.ascii_letters + string.digits + "-_:/ äé漢🙂"
    keys = ["a", *("".join(letters.choices(alphabet, k=length)) for length in range(1, 60))]
    Kafka(server.port_of("kafka"))("console-producer", "--topic", "java", "--reader-property", "parse.key=true",
                                   "--reader-property", "key.separator=|", stdin="".join(f"{key}|v\n" for key in keys))  # fmt: skip
    connection = connect(server)
    transact(connection, *[["KAFKA.PRODUCE", "bridge", "KEY", key, "v"] for key in keys])
    for key in keys:
        assert connection.ask("KAFKA.PRODUCE", "straight", "KEY", key, "v")[0] == "*"
    delivered(connection)
    places = {topic: {record[2]: record[0] for record in records_of(server, topic, 7)} for topic in ("java", "bridge", "straight")}
    assert len(places["java"]) == len(set(keys)) and len(set(places["java"].values())) == 7
    assert places["bridge"] == places["java"] == places["straight"]

"""Killed with -9 at random moments, a server has each key exactly once as a record and each record as a key.

Clients send MULTI, SET k, KAFKA.PRODUCE k, SET read k, KAFKA.COMMIT ... k, EXEC and KAFKA.PRODUCE ... ONCE k, many in flight, with
appendfsync always. After each death: what was acknowledged is there, what is there is there on both sides, once, and in
order, and the group's position is the key `read`."""

import random
import threading

import pytest
from harness.trivet import Trivet
from wire import resp

from .writers import KafkaWriter

ROUNDS, ROUNDS_SOAK = 30, 200
WINDOW = 16
WHOLE_EVERY, OVERLAP = 20, 1000  # the topic is read whole in one round of 20, else from a little before its last end


class OutboxWriter(threading.Thread):
    """Numbers from `first` on, until the server goes away."""

    def __init__(self, port, first, seed, topic_exists):
        super().__init__(daemon=True)
        self.topic_exists = topic_exists  # only then there may be positions
        self.port, self.sent, self.problem = port, first, None
        self.draw = random.Random(seed)
        self.acknowledged = set()
        self.start()

    def run(self):
        try:
            with resp.Connection(self.port) as connection:
                while True:
                    self.write(connection)
        except OSError:
            pass
        except Exception as problem:
            self.problem = problem

    def write(self, connection):
        out, waiting = [], []
        for _ in range(WINDOW):
            number, self.sent = self.sent, self.sent + 1
            if self.draw.random() < 0.2:
                commands = [["KAFKA.PRODUCE", "log", "ONCE", f"k{number}", 3600, number]]
            else:
                commands = [["MULTI"], ["SET", f"k{number}", 1], ["KAFKA.PRODUCE", "log", number], ["EXEC"]]
                if self.topic_exists:
                    commands[3:3] = [["SET", "read", number], ["KAFKA.COMMIT", "crash", "log", 0, number]]
            out += [resp.encode(*command) for command in commands]
            waiting.append((number, len(commands)))
        if self.draw.random() < 0.05:
            out.append(resp.encode("BGREWRITEAOF"))
        connection.socket.sendall(b"".join(out))
        for number, replies in waiting:
            tag, value = [connection.read() for _ in range(replies)][-1]
            assert tag == "*", (tag, value)
            self.acknowledged.add(number)
        if len(out) > sum(replies for _, replies in waiting):
            connection.read()


def check(server, sent, acknowledged, known, whole):
    """The topic's values, of which `known` were there before the last crash."""
    with resp.Connection(server.port_of("redis")) as connection:
        keys = {int(name[1:]) for _, name in connection.ask("KEYS", "k*")[1]}
        # The outbox is in order: when this record is in its partition, so are all before it.
        assert connection.ask("KAFKA.PRODUCE", "log", "ONCE", f"k{sent}", 3600, sent)[0] == "*"
        keys.add(sent)
        position, read = connection.ask("KAFKA.COMMITTED", "crash", "log", 0)[1], connection.ask("GET", "read")[1]
        assert position == (read and int(read)), "the position is not that of its state"
    start = 0 if whole else max(0, len(known) - OVERLAP)
    with KafkaConnection(server) as reader:
        values = known[:start] + reader.all_from(start)
        assert position is None or reader.writer.fetch_committed(reader.connection) == position
    assert values[: len(known)] == known, "the topic's past has changed"
    assert len(set(values)) == len(values), f"doubled: {sorted(v for v in set(values) if values.count(v) > 1)[:10]}"
    assert set(values) - keys == set(), f"records without their keys: {sorted(set(values) - keys)[:10]}"
    assert keys - set(values) == set(), f"keys without their records: {sorted(keys - set(values))[:10]}"
    assert acknowledged <= keys, f"acknowledged and lost: {sorted(acknowledged - keys)[:10]}"
    assert values == sorted(values), "out of order"
    return values


class KafkaConnection:
    """The topic, read as the crash test's Kafka writer reads it."""

    def __init__(self, server):
        from wire import kafka

        self.connection = kafka.Connection(server.port_of("kafka"))
        self.writer = KafkaWriter()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.socket.close()

    def all_from(self, offset):
        records = self.writer.read_all(self.connection, offset)
        records = {at: value for at, value in records.items() if at >= offset}  # its batch may begin before it
        assert sorted(records) == list(range(offset, offset + len(records))), "offsets have gaps"
        return [records[offset] for offset in sorted(records)]


@pytest.mark.trivet_only
@pytest.mark.timeout(1800)
def test_keys_and_records_are_one_through_kill(request):
    rounds = ROUNDS_SOAK if request.config.getoption("--soak") else ROUNDS
    seed = request.config.getoption("--seed")
    draw = random.Random(seed)
    sent, acknowledged, values = 0, set(), []
    with Trivet({"redis": {"appendfsync": "always"}}) as server:
        for number in range(1, rounds + 1):
            server.start()
            writer = OutboxWriter(server.port_of("redis"), sent, draw.random(), topic_exists=bool(values))
            writer.join(draw.uniform(0.05, 0.9))
            server.kill9()
            writer.join(60)
            assert not writer.is_alive() and writer.problem is None, repr(writer.problem)
            acknowledged |= writer.acknowledged
            server.start()
            values = check(server, writer.sent, acknowledged, values, number % WHOLE_EVERY == 0 or number == rounds)
            sent = writer.sent + 1
            server.kill9()
    assert len(values) > rounds * WINDOW, "hardly anything was written, so nothing was shown"
    print(f"\n{rounds} rounds, {len(acknowledged)} acknowledged, {len(values)} records, seed {seed}")

"""Whatever commands change the keys, the feed's topic says what the keyspace holds: random ones of every kind, from the
grammar with which Redis is compared, over two connections, in transactions and scripts."""

import json
import random

import pytest
from conformance.redis import grammar

from .feeds import changes_of, connection_to, contents, replay
from .test_feed import FEED, VALUES, settled

pytestmark = pytest.mark.trivet_only

COMMANDS_PER_SEED = 2000
SCRIPT = "for i = 1, #ARGV do redis.pcall(unpack(cjson.decode(ARGV[i]))) end"


def in_script(random, words):
    """Some of the commands come from a script: alone there, or twice."""
    as_json = json.dumps(words)
    return ["EVAL", SCRIPT, "0", *[as_json] * random.choice((1, 2))]


def play(server, seed):
    draw = random.Random(seed)
    connections = [connection_to(server) for _ in range(2)]
    for index, words in grammar.sequence(draw, COMMANDS_PER_SEED):
        words = in_script(draw, words) if draw.random() < 0.1 else words
        connections[index].ask(*[word.encode("latin-1") for word in words])
    for connection in connections:
        connection.socket.close()


@pytest.mark.parametrize("feed", [FEED, VALUES], ids=["command", "value"])
@pytest.mark.seeds(2)
def test_the_topic_says_what_random_commands_leave(start, connect, mirror, feed, seed):
    server = start(trivet=feed, kafka={"num.partitions": 3}, redis={"appendfsync": "everysec"})
    play(server, seed)
    connection = connect(server)
    settled(connection)
    replay(changes_of(server, "changes", 3), mirror)
    left = contents(connection)
    assert contents(mirror) == left
    assert left

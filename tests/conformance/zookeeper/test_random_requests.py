"""The same random requests, sent to ZooKeeper and to Trivet over three sessions, get the same replies and events."""

import random

import pytest

from wire import jute

from . import script
from .exceptions import EXCEPTIONS

REQUESTS_PER_SEED = 600
NAMES = {value: name for name, value in vars(jute).items() if name.isupper() and isinstance(value, int) and value > 6}
NAMES |= {1: "CREATE", 2: "DELETE", 3: "EXISTS", 4: "GET_DATA", 5: "SET_DATA", 6: "GET_ACL"}


def describe(step):
    index, op, body = step
    return f"  {index}: {NAMES.get(op, op)} {body!r}"


def first_difference(ports, steps):
    players = [script.Player(port) for port in ports]
    for player in players:
        player.begin()
    try:
        for index, step in enumerate(steps):
            expected, actual = (player.play(step) for player in players)
            if expected != actual and not any(applies(*step[1:], expected, actual) for applies in EXCEPTIONS.values()):
                return index, expected, actual
    finally:
        for player in players:
            player.close()
    return None


def shrink(ports, steps, rounds_max=60):
    size = max(1, len(steps) // 2)
    while rounds_max > 0 and size:
        start = 0
        while start < len(steps) - 1 and rounds_max > 0:
            trial = steps[:start] + steps[start + size :]
            rounds_max -= 1
            found = first_difference(ports, trial) if trial else None
            if found:
                steps = trial[: found[0] + 1]
            else:
                start += size
        size //= 2
    return steps


@pytest.mark.seeds(8)
def test_random_requests_are_answered_as_the_original_answers(zookeeper_ports, seed):
    steps = script.sequence(random.Random(seed), REQUESTS_PER_SEED)
    found = first_difference(zookeeper_ports, steps)
    if found:
        steps = shrink(zookeeper_ports, steps[: found[0] + 1])
        _, expected, actual = first_difference(zookeeper_ports, steps) or found
        lines = [f"seed {seed}, after these requests (session: request)", *map(describe, steps[-30:])]
        pytest.fail("\n".join([*lines, f"original: {expected}", f"trivet:   {actual}"]), pytrace=False)

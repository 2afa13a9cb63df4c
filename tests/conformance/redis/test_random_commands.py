"""The same random commands, sent to Valkey and to Trivet, are answered alike and leave the same keys."""

import random

import pytest

from . import compare, grammar

COMMANDS_PER_SEED = 1500


@pytest.mark.seeds(20)
def test_random_commands_are_answered_as_the_original_answers(redis_ports, seed):
    play(redis_ports, seed, grammar.sequence(random.Random(seed), COMMANDS_PER_SEED))


@pytest.mark.seeds(20)
def test_random_stream_commands_are_answered_as_the_original_answers(redis_ports, seed):
    play(redis_ports, seed, grammar.stream_sequence(random.Random(seed), COMMANDS_PER_SEED))


def play(redis_ports, seed, steps):
    protocol = 3 if seed % 2 else 2
    original, trivet = (compare.Player(port, protocol) for port in redis_ports)
    try:
        found = compare.first_difference(original, trivet, steps)
        if found:
            steps, found = compare.shrink(original, trivet, steps)
            pytest.fail(compare.report(seed, steps, found), pytrace=False)
    finally:
        original.close()
        trivet.close()

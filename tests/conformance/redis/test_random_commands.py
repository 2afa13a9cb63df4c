"""The same random commands, sent to Valkey and to Trivet, are answered alike and leave the same keys."""

import random

import pytest
from wire import resp

from . import compare, grammar

COMMANDS_PER_SEED = 1500


@pytest.mark.seeds(20)
def test_random_commands_are_answered_as_the_original_answers(redis_ports, seed):
    play(redis_ports, seed, grammar.sequence(random.Random(seed), COMMANDS_PER_SEED))


@pytest.mark.seeds(20)
def test_random_stream_commands_are_answered_as_the_original_answers(redis_ports, seed):
    play(redis_ports, seed, grammar.stream_sequence(random.Random(seed), COMMANDS_PER_SEED))


@pytest.mark.seeds(10)
def test_random_scripts_are_answered_as_the_original_answers(redis_ports, seed):
    play(redis_ports, seed, grammar.script_sequence(random.Random(seed), COMMANDS_PER_SEED))


@pytest.mark.seeds(10)
def test_random_later_commands_are_answered_as_the_original_answers_that_knows_them(redis_ports, seed):
    """An original without them is asked for hashes alone."""
    steps = grammar.later_sequence(random.Random(seed), COMMANDS_PER_SEED)
    with resp.Connection(redis_ports[0]) as original:
        unknown = {name for name in {words[0].upper() for _, words in steps} if original.ask("COMMAND", "INFO", name)[1][0][1] is None}
    if "MSETEX" in unknown:
        steps = [(at, words) for at, words in steps if words[0].upper() not in unknown and "IFEQ" not in words]
    play(redis_ports, seed, steps)


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

"""The same raw requests, sent to Kafka and to Trivet, get the same answers, field by field."""

import itertools
import time

import pytest

from . import cluster_cases, group_cases, log_cases, txn_cases
from .exceptions import EXCEPTIONS
from .peer import Peer

CASES = log_cases.CASES + cluster_cases.CASES + group_cases.CASES + txn_cases.CASES
numbers = itertools.count(time.time_ns() // 1_000_000 % 1_000_000_000)


def play(port, case, name):
    """The transcript, with the prefix of this run's names taken out."""
    peer = Peer(port, name)
    try:
        case(peer)
    except (AssertionError, OSError) as problem:
        peer.note("broke off", f"{type(problem).__name__}: {problem}")
    finally:
        peer.close()
    return [(what, rename(value, name)) for what, value in peer.transcript]


def rename(value, name):
    if isinstance(value, dict):
        return {key: rename(item, name) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(rename(item, name) for item in value)
    if isinstance(value, bytes):
        return value.replace(name.encode(), b"")
    return value.replace(name, "") if isinstance(value, str) else value


def differences(case, expected, actual):
    for index, (one, other) in enumerate(itertools.zip_longest(expected, actual)):
        what = (one or other)[0]
        if one != other and not any(applies(case, what, one, other) for applies in EXCEPTIONS.values()):
            yield f"{index}: {what}\n  original: {one and one[1]}\n  trivet:   {other and other[1]}"


def compare(kafka_ports, case, seed):
    # The last part of a name is the seed of the random cases, so both sides draw alike.
    expected, actual = (play(port, case, f"c{next(numbers)}-{seed}") for port in kafka_ports)
    assert not any(what == "broke off" for what, _ in expected), expected
    found = list(differences(case.__name__, expected, actual))
    if found:
        pytest.fail(f"{len(found)} of {len(expected)} answers differ:\n" + "\n".join(found[:12])[:8000], pytrace=False)


@pytest.mark.parametrize("case", [one for one in CASES if not one.__name__.startswith("random")], ids=lambda one: one.__name__)
def test_answers_are_the_originals(kafka_ports, case):
    compare(kafka_ports, case, 0)


@pytest.mark.seeds(5)
def test_random_idempotent_producers_get_the_originals_answers(kafka_ports, seed):
    compare(kafka_ports, log_cases.random_idempotent_producers, seed)


@pytest.mark.seeds(3)
def test_random_transactions_get_the_originals_answers(kafka_ports, seed):
    compare(kafka_ports, txn_cases.random_transactions, seed)

"""What members of share groups are answered is what Kafka 4.4.0 answered: its answers are kept in share_answers.json, for they come
from a newer broker than the other cases are compared with. Run as a module with a port, this asks a broker anew."""

import itertools
import json
import pathlib
import sys
import time

import pytest

from .peer import Peer
from .share_cases import CASES

ANSWERS = pathlib.Path(__file__).with_name("share_answers.json")
numbers = itertools.count(time.time_ns() // 1_000_000 % 1_000_000_000)


def play(port, case):
    """What the members noted, as JSON has it."""
    peer = Peer(port, f"share-{next(numbers)}")
    try:
        case(peer)
    finally:
        peer.close()
    return json.loads(json.dumps([one for one in peer.transcript if one[0] in ("fetch", "acknowledge", "ShareFetch", "ShareAcknowledge")]))


@pytest.mark.parametrize("case", CASES, ids=lambda one: one.__name__)
def test_members_of_share_groups_get_the_originals_answers(kafka_server, case):
    expected = json.loads(ANSWERS.read_text())[case.__name__]
    actual = play(kafka_server.port_of("kafka"), case)
    for index, (one, other) in enumerate(itertools.zip_longest(expected, actual)):
        assert one == other, f"{case.__name__}: answer {index}"


if __name__ == "__main__":
    rows = (f"{json.dumps(case.__name__)}: {json.dumps(play(int(sys.argv[1]), case))}" for case in CASES)
    ANSWERS.write_text("{\n" + ",\n".join(rows) + "\n}\n")

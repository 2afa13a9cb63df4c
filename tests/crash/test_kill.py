"""Killed with -9 at random moments while clients write, a server has everything that it acknowledged."""

import random
import threading

import pytest

from harness import originals
from harness.trivet import Trivet

from .writers import WRITERS

ROUNDS, ROUNDS_SOAK = 5, 50
WINDOWS_MIN = 10  # acknowledged to each writer before a kill: of writers.WINDOW writes each


class Busy(threading.Thread):
    """A writer at work until the server goes away. Anything but that is a failure, kept in `problem`."""

    def __init__(self, writer, port):
        super().__init__(daemon=True)
        self.writer, self.port, self.problem = writer, port, None
        self.windows = 0
        self.well_under_way = threading.Event()
        self.start()

    def run(self):
        try:
            self.writer.connect(self.port)
            while True:
                self.writer.write()
                self.windows += 1
                if self.windows == WINDOWS_MIN:
                    self.well_under_way.set()
        except OSError:
            pass
        except Exception as problem:
            self.problem = problem
        finally:
            self.well_under_way.set()


def crash(server, writers, draw, rounds):
    for number in range(rounds):
        early = number % 5 == 4  # one kill in five may come while they connect
        busy = [Busy(writer, server.port_of(writer.wing)) for writer in writers]
        if not early:
            for one in busy:
                one.well_under_way.wait(60)
        busy[0].join(draw.uniform(0.0, 0.5))
        server.kill9()
        for one in busy:
            one.join(60)
            assert not one.is_alive(), "the writer did not notice"
            assert one.problem is None, repr(one.problem)
            assert early or one.windows >= WINDOWS_MIN, f"{one.windows} windows before the kill: too few to show anything"
        server.start()
        for writer in writers:
            writer.check(server.port_of(writer.wing))


def rounds_of(request, target):
    if request.config.getoption("--soak"):
        return ROUNDS_SOAK
    return ROUNDS if target == "trivet" else 2


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("wing", list(WRITERS))
def test_what_was_acknowledged_survives_kill(request, target, launch, wing):
    writer = WRITERS[wing]()
    server = launch(wing, **writer.directives)
    crash(server, [writer], random.Random(f"{wing} {request.config.getoption('--seed')}"), rounds_of(request, target))


@pytest.mark.trivet_only
@pytest.mark.timeout(1800)
def test_all_three_wings_at_once_survive_kill(request, target):
    writers = [writer() for writer in WRITERS.values()]
    with Trivet({writer.wing: writer.directives for writer in writers}) as server:
        server.start()
        crash(server, writers, random.Random(request.config.getoption("--seed")), rounds_of(request, target))


@pytest.mark.parametrize("wing", list(WRITERS))
def test_what_was_acknowledged_survives_a_clean_stop(launch, wing):
    writer = WRITERS[wing]()
    server = launch(wing, **writer.directives)
    writer.connect(server.port_of(wing))
    for _ in range(20):
        writer.write()
    status = server.stop()
    assert status in (0, 143), f"exit status {status}"
    server.start()
    writer.check(server.port_of(wing))


def test_every_wing_has_an_original_to_check_the_test_with():
    assert set(WRITERS) == set(originals.ORIGINALS)

"""A run of the simulator that fails says how it is replayed, and what it says leads to the same failure: replay_test.py TRIVET_SIM

Whatever ends a run: a check that fails, an assertion, a test's time that is over.
"""

import re
import signal
import subprocess
import sys

SIMULATOR = sys.argv[1]


def run(*arguments):
    return subprocess.run([SIMULATOR, *arguments], capture_output=True, text=True)


def replay_of(output):
    found = re.search(r"^ *replay: trivet_sim (--scenario \S+ --seed \d+.*) --verbose$", output, re.MULTILINE)
    assert found, f"no word of how to replay it in: {output}"
    return found[1].split()


def failure_in(output):
    return [line for line in output.splitlines() if "virtual time" in line or line.startswith("trivet_sim:")]


def a_check_that_fails_is_replayed():
    first = run("--scenario", "outbox", "--fault", "order", "--seed", "1", "--seeds", "300")
    again = run(*replay_of(first.stderr))
    assert first.returncode == again.returncode == 1
    assert len(failure_in(first.stderr)) == 2 and failure_in(first.stderr) == failure_in(again.stderr), again.stderr


def an_assertion_names_the_seed():
    dead = run("--scenario", "dies", "--seed", "7", "--seeds", "5")
    assert dead.returncode != 0 and "unreachable" in dead.stderr
    assert replay_of(dead.stderr) == ["--scenario", "dies", "--seed", "7"]


def a_run_that_is_ended_names_the_seed():
    """A run that hangs ends so when the time of its test is over."""
    command = [SIMULATOR, "--scenario", "log", "--seeds", "1000000", "--verbose"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout.readline()
    running.send_signal(signal.SIGTERM)
    assert replay_of(running.communicate()[1])[:2] == ["--scenario", "log"]


a_check_that_fails_is_replayed()
an_assertion_names_the_seed()
a_run_that_is_ended_names_the_seed()

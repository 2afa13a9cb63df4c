"""Runs all tests and closes with one line that counts them: `N passed, N failed, N skipped`.

Unit tests and the simulation are Meson's tests; the rest is pytest's. Called by `make test`, `make asan`,
`make tsan`, `make soak`.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Under sanitizers: what exercises our own code most, without the slow Java clients, and with a reactor that carries.
QUICK = [
    "integration/redis", "integration/server", "integration/zookeeper/test_nodes.py", "integration/zookeeper/test_watches.py",
    "integration/kafka/test_admin.py", "integration/kafka/test_groups.py", "integration/kafka/test_produce_consume.py",
    "integration/email/test_email.py", "integration/email/test_environment.py", "integration/email/test_window.py",
    "conformance/redis", "conformance/zookeeper", "hostile", "crash", "damage", "exhaustion/test_disk_full.py",
]  # fmt: skip
# Under ThreadSanitizer: whatever makes the reactors talk to each other, in two halves that take about as long and run side by
# side. A folder of integration/ that is in neither fails the run.
RACES = [
    ["integration/bridge", "integration/redis", "integration/zookeeper"],
    ["integration/kafka", "integration/email", "integration/server"],
]
# What does not run there, and why.
RACES_WITHOUT = {
    "integration/bridge/test_feed_memory.py": "its limit is the MiB above what is used, and the sanitizer's allocator holds more",
    "integration/redis/test_hyperloglogs.py::test_the_self_test_passes": "it computes for minutes, on one thread",
    "integration/email/test_kill.py::test_kill_9_in_portable_mode_on_the_originals_is_counted": "no server of ours takes part",
}
SOAK_SEEDS, SOAK_SEEDS_OF = 1000, {"outbox": 10_000}  # of the simulator, a scenario


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.reasons = {}

    def add_junit(self, path):
        """Counts the cases of a JUnit file; false when there are none."""
        if not path.exists():
            return False
        cases = list(ElementTree.parse(path).getroot().iter("testcase"))
        for case in cases:
            if case.find("failure") is not None or case.find("error") is not None:
                self.failed += 1
            elif (skip := case.find("skipped")) is not None:
                self.skipped += 1
                reason = (skip.get("message") or skip.text or "no reason given").strip()
                self.reasons[reason] = self.reasons.get(reason, 0) + 1
            else:
                self.passed += 1
        return bool(cases)

    def note_failure(self, what):
        print(f"FAILED: {what}", flush=True)
        self.failed += 1

    def close(self):
        for reason, count in sorted(self.reasons.items()):
            print(f"skipped {count}: {reason}")
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        return 1 if self.failed or not self.passed else 0


def run_meson(tally, build):
    report = build / "meson-logs" / "testlog.junit.xml"
    report.unlink(missing_ok=True)
    # A limit is there to end what hangs, also on a loaded machine and in an instrumented build.
    command = ["meson", "test", "-C", str(build), "--no-rebuild", "--print-errorlogs", "--timeout-multiplier", "5"]
    before = tally.failed
    status = subprocess.run(command, cwd=ROOT).returncode
    if not tally.add_junit(report):
        tally.note_failure(f"no unit test ran in {build.name}")
    elif status and tally.failed == before:
        tally.note_failure(f"meson test ended with status {status}")


def run_simulator(tally, build):
    """Each scenario from many seeds, other ones than Meson's tests run."""
    program = build / "tests" / "sim" / "trivet_sim"
    usage = subprocess.run([program, "--help"], capture_output=True, text=True).stdout
    names = next(line for line in usage.splitlines() if line.startswith("scenarios:")).split()[1:]
    for name in names:
        command = [program, "--scenario", name, "--seed", "100001", "--seeds", str(SOAK_SEEDS_OF.get(name, SOAK_SEEDS))]
        if subprocess.run(command).returncode == 0:
            tally.passed += 1
        else:
            tally.note_failure(f"the scenario {name}")


def race_halves():
    """The arguments of two runs of pytest."""
    tests = ROOT / "tests"
    there = {f"integration/{path.name}" for path in (tests / "integration").iterdir() if list(path.glob("test_*.py"))}
    assert there == set(sum(RACES, [])), f"RACES does not have what there is: {there}"
    assert all((tests / name.split("::")[0]).exists() for name in RACES_WITHOUT), "RACES_WITHOUT names what there is not"
    return [[*half, *(f"--deselect={name}" for name in RACES_WITHOUT)] for half in RACES]


def run_pytest(tally, build, runs, options, extra):
    """Each of `runs`, lists of arguments, in a process of its own, all at once. An empty list = all tests."""
    environment = {"TRIVET_BIN": str(build / "trivet"), "TRIVET_CARRIERS": "1" if runs != [[]] else ""} | os.environ
    started = []
    for number, arguments in enumerate(runs):
        report = ROOT / ".cache" / f"pytest-{build.name}-{number}.xml"
        report.parent.mkdir(exist_ok=True)
        report.unlink(missing_ok=True)
        soak = ["--soak"] if options.soak else []
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *soak, *extra, *arguments]
        started.append((subprocess.Popen(command, cwd=ROOT / "tests", env=environment), report))
    for process, report in started:
        status, before = process.wait(), tally.failed
        if not tally.add_junit(report):
            tally.note_failure("pytest ran no test")
        elif status and tally.failed == before:
            tally.note_failure(f"pytest ended with status {status}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build", type=pathlib.Path, help="has the server and the examples")
    parser.add_argument("--unit", default="build-test", type=pathlib.Path, help="has the unit tests and the simulator")
    parser.add_argument("--soak", action="store_true", help="also the long runs")
    parser.add_argument("--quick", action="store_true", help="only the tests that suit a slow, instrumented build")
    parser.add_argument("--races", action="store_true", help="the integration tests in two runs side by side; no unit tests")
    options, extra = parser.parse_known_args()
    build, unit = (ROOT / options.build).resolve(), (ROOT / options.unit).resolve()
    started = time.monotonic()
    tally = Tally()
    for name, why in RACES_WITHOUT.items() if options.races else ():
        print(f"without {name}: {why}")
    if not options.races:
        run_meson(tally, unit)
    if options.soak:
        run_simulator(tally, unit)
    run_pytest(tally, build, race_halves() if options.races else [QUICK if options.quick else []], options, extra)
    print(f"took {time.monotonic() - started:.0f} s")
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())

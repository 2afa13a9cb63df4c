"""Trivet itself, started with --ready-json on ports that it picks."""

import json
import os
import pathlib
import select
import subprocess
import urllib.request

from .process import HOST, READY_SECONDS_MAX, Server, ServerError

ROOT = pathlib.Path(__file__).resolve().parents[2]
WINGS = ("redis", "kafka", "zookeeper", "http")
# For a sanitized build: whatever is found ends the program, with a status of its own.
SANITIZER_STATUSES = (66, 99)
SANITIZERS = {
    "ASAN_OPTIONS": "abort_on_error=0:exitcode=99:detect_leaks=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:exitcode=66",
}


def binary():
    return pathlib.Path(os.environ.get("TRIVET_BIN", ROOT / "build" / "trivet")).absolute()


def flags_of(directives):
    """{'redis': {'appendonly': 'no'}} as the flags --redis.appendonly no."""
    flags = []
    for section, values in directives.items():
        for key, value in values.items():
            flags += [f"--{section}.{key}", str(value)]
    return flags


class Trivet(Server):
    name = "trivet"
    crash_statuses = SANITIZER_STATUSES

    def __init__(self, directives=None, data=None, args=()):
        super().__init__(data)
        self.directives = directives or {}
        self.args = list(args)
        for flag in ("reactors", "carriers"):
            if number := os.environ.get(f"TRIVET_{flag.upper()}"):
                self.args = [f"--{flag}", number, *self.args]
        self.ports = {wing: 0 for wing in WINGS}
        for wing in WINGS:
            self.ports[wing] = int(self.directives.get(wing, {}).get("port", 0))
        self.ready = None

    def command(self):
        """On a restart the ports stay what they were, so that clients find the server again."""
        ports = {wing: {"port": port} for wing, port in self.ports.items()}
        others = {
            section: {key: value for key, value in values.items() if key != "port"}
            for section, values in self.directives.items()
        }
        fixed = [str(binary()), "--data", str(self.data), "--bind", HOST, "--ready-json"]
        return fixed + flags_of(ports) + flags_of(others) + self.args

    def stdout_target(self, log):
        return subprocess.PIPE

    def environment(self):
        return os.environ | SANITIZERS

    def wait_ready(self):
        self._said = b""
        self.wings_ready = []  # as they became so
        self.ready = json.loads(self._read_line())
        while "wing" in self.ready:
            self.wings_ready.append(self.ready)
            self.ports[self.ready["wing"]] = self.ready["port"]
            self.on_wing(self.ready["wing"])
            self.ready = json.loads(self._read_line())
        for wing in WINGS:
            if wing in self.ready and self.ready[wing] is not None:
                self.ports[wing] = self.ready[wing]

    def on_wing(self, wing):
        """A wing is served; others may still be recovering."""

    def _read_line(self):
        """The next line, past the file's own buffer, which select does not see."""
        while b"\n" not in self._said:
            readable, _, _ = select.select([self.process.stdout], [], [], READY_SECONDS_MAX)
            part = os.read(self.process.stdout.fileno(), 65536) if readable else b""
            if not part:
                status = self.process.poll()
                raise ServerError(f"trivet printed no ready line (exit status {status}):\n{self.log_tail()}")
            self._said += part
        line, self._said = self._said.split(b"\n", 1)
        return line

    def port_of(self, wing):
        return self.ports[wing]

    def instrumented(self):
        """Is it a build with a sanitizer? Its memory and pace say nothing of the server's."""
        with open(f"/proc/{self.pid}/maps") as maps:
            return any(name in line for line in maps for name in ("libasan", "libtsan"))

    def resident_bytes(self):
        """0 of an instrumented build."""
        return 0 if self.instrumented() else super().resident_bytes()

    def metrics(self):
        """{'trivet_turns_over_100ms_total{reactor="data"}': 0.0, ...}"""
        with urllib.request.urlopen(f"http://{HOST}:{self.ports['http']}/metrics", timeout=60) as page:
            lines = page.read().decode().splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}

    def metric(self, name):
        """The sum over all labels."""
        values = [value for key, value in self.metrics().items() if key.split("{")[0] == name]
        assert values, f"no metric {name}"
        return sum(values)

    def stalls(self, over="100ms"):
        """Turns of its loops that computed for longer ("50ms", "100ms", "1s"), so far. In CI and with a sanitizer only those of a
        second are counted: nobody knows that machine's pace. Who asks sends so much that one turn for all of it takes longer."""
        if os.environ.get("CI") or self.instrumented():
            over = "1s"
        return int(self.metric(f"trivet_turns_over_{over}_total"))

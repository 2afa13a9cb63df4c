"""A server as a child process: start, wait until it is ready, stop, kill -9, start again on the same data.

Trivet and the originals share this interface, so that one test can run against either.
"""

import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from . import watch

HOST = "127.0.0.1"
READY_SECONDS_MAX = 60
STOP_SECONDS_MAX = 60
CLOCK_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class ServerError(Exception):
    """The server did not start, or died."""


def die_with_parent():
    """No server outlives a test run that was itself killed."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


_given_ports = set()


def free_port():
    """A port that nobody listened on a moment ago, below the range from which connections get theirs; each is given once."""
    for _ in range(100):
        port = 10000 + int.from_bytes(os.urandom(2), "big") % 20000
        if port in _given_ports:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            _given_ports.add(port)
            return port
    raise ServerError("no free port found")


class Server:
    """One process with one data directory. Subclasses say what to run and when it is ready."""

    name = "server"
    crash_statuses = ()  # beside the signals of a crash

    def __init__(self, data=None):
        self.owns_data = data is None
        self.data = pathlib.Path(data or tempfile.mkdtemp(prefix=f"{self.name}-"))
        self.host = HOST
        self.process = None
        self.crash_told = None
        self.log_path = self.data.parent / f"{self.data.name}.log"

    # What a subclass provides.
    def command(self):
        raise NotImplementedError

    def wait_ready(self):
        raise NotImplementedError

    def port_of(self, wing):
        raise NotImplementedError

    def start(self):
        assert not self.alive(), "already running"
        if self.process is not None:
            self._reaped()
        command = self.command()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=self.stdout_target(log), stderr=log, env=self.environment(),
                preexec_fn=die_with_parent,
            )  # fmt: skip
        watch.begin(self)
        try:
            self.wait_ready()
        except BaseException:
            self.kill9()
            raise
        return self

    def stdout_target(self, log):
        return log

    def environment(self):
        return None

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """Asks politely; returns the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.kill9()
                raise ServerError(f"{self.name} ignored SIGTERM for {STOP_SECONDS_MAX} s") from None
        return self._reaped()

    def kill9(self):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        return self._reaped()

    def _reaped(self):
        watch.end(self)
        status = self.process.returncode
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None
        return status

    def restart(self, kill=False):
        self.kill9() if kill else self.stop()
        return self.start()

    def close(self):
        """Stops the process and removes what it wrote."""
        try:
            self.stop()
        finally:
            if self.owns_data:
                shutil.rmtree(self.data, ignore_errors=True)
                self.log_path.unlink(missing_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def log_tail(self, lines=30):
        try:
            text = self.log_path.read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def wait_until(self, ready, seconds=READY_SECONDS_MAX):
        """Polls `ready` until it is true; a dead process or a passed deadline is an error that shows the log."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.alive():
                raise ServerError(f"{self.name} exited with {self.process.poll()} at start:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} was not ready after {seconds} s:\n{self.log_tail()}")
            time.sleep(0.01)

    # What the process costs, from /proc.
    @property
    def pid(self):
        return self.process.pid

    def cpu_seconds(self):
        """User and system time of all its threads, those that ended included, and of child processes it has waited for."""
        return self._cpu_seconds("stat", 15)

    def first_thread_cpu_seconds(self):
        """The same of the first thread alone: what bounds a server of one owner, however many threads help it."""
        return self._cpu_seconds(f"task/{self.pid}/stat", 13)

    def _cpu_seconds(self, file, fields_end):
        fields = pathlib.Path(f"/proc/{self.pid}/{file}").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:fields_end])) / CLOCK_TICKS_PER_SECOND

    def resident_bytes(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise ServerError("no VmRSS")


def exchange(port, request, seconds=5, host=HOST):
    """Sends bytes, returns all that comes back until the peer closes or stays silent for `seconds`."""
    reply = b""
    with socket.create_connection((host, port), timeout=seconds) as conn:
        conn.sendall(request)
        try:
            while chunk := conn.recv(65536):
                reply += chunk
        except (TimeoutError, ConnectionResetError):
            pass
    return reply


def answers(port, request, expected_prefix):
    """True when a listener on the port answers the request with the prefix."""
    try:
        with socket.create_connection((HOST, port), timeout=10) as conn:
            conn.sendall(request)
            return conn.recv(len(expected_prefix)) == expected_prefix
    except OSError:
        return False

"""Running out: small disks, limits of memory. What the machine does not let a test do makes it fail where it is root or in
CI, where nobody would see that it was skipped."""

import contextlib
import os
import subprocess
import urllib.error
import urllib.request

import pytest

from harness import trivet


def cannot(what):
    message = f"this test needs to {what}"
    if os.geteuid() == 0 or os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message + ": run it as root")


class SmallDisk:
    """A tmpfs with a data directory on it."""

    def __init__(self, path, size):
        self.path, self.size = path, size
        path.mkdir()
        if not self._mount(f"size={size}", "tmpfs"):
            cannot("mount a tmpfs")

    def _mount(self, options, what):
        command = ["mount", "-t", "tmpfs", "-o", options, what, self.path]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    @property
    def data(self):
        return self.path / "data"

    def fill(self):
        """Somebody else takes what is left."""
        with (self.path / "filler").open("ab", buffering=0) as file:
            for bytes_ in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * bytes_)

    def free(self):
        (self.path / "filler").unlink()

    def grow(self, size):
        assert self._mount(f"remount,size={size}", "tmpfs")

    def unmount(self):
        subprocess.run(["umount", "-l", self.path], check=True)


@pytest.fixture
def small_disk(tmp_path):
    """small_disk(bytes)"""
    made = []

    def make(size):
        made.append(SmallDisk(tmp_path / f"disk{len(made)}", size))
        return made[-1]

    yield make
    for disk in made:
        disk.unmount()


@pytest.fixture
def start(tmp_path):
    """start(disk, **sections): Trivet with its data on the disk and its log elsewhere."""
    started = []

    def start_one(disk, **sections):
        server = trivet.Trivet(sections, data=disk.data)
        server.log_path = tmp_path / f"log{len(started)}"
        started.append(server)
        return server.start()

    yield start_one
    for server in started:
        server.close()


def page(server, path):
    """(status, text) of an HTTP page."""
    try:
        with urllib.request.urlopen(f"http://{server.host}:{server.port_of('http')}{path}", timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()

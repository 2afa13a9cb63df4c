"""programs(mode, NAME=value, ...): all programs of examples/email, with further environment variables."""

import contextlib

import pytest
from harness import originals

from .programs import Programs, missing, on_originals, on_trivet


@pytest.fixture
def built():
    if missing():
        pytest.skip("examples/email is not built: make examples")


@pytest.fixture
def programs(built, tmp_path):
    with contextlib.ExitStack() as stack:

        def start(mode, servers=None, **settings):
            made = Programs(mode, servers or on_trivet(), settings, tmp_path)
            return stack.enter_context(contextlib.closing(made)).start()

        yield start


@pytest.fixture
def all_originals():
    """The originals of all wings as the servers of programs()."""
    for wing in originals.ORIGINALS:
        if reason := originals.available(wing):
            pytest.skip(reason)
    return on_originals()

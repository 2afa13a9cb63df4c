"""CONFIG answers about each setting of the original what that answers, but what tools/command_diff.py names with a reason."""

import pytest

from harness.originals import Valkey
from harness.trivet import Trivet

from .test_command_table import load


@pytest.fixture(scope="module")
def tables():
    diff = load()
    started = {"appendonly": "no", "save": "", "enable-protected-configs": "yes", "enable-debug-command": "yes"}
    with Valkey({"appendonly": "no"}) as valkey, Trivet({"redis": started}) as trivet:
        ports = [server.start().port_of("redis") for server in (valkey, trivet)]
        yield diff, *(diff.settings_of(port) for port in ports), diff.expected_of(ports[0])


def test_settings_are_the_originals(tables):
    diff, original, ours, expected = tables
    assert len(original) > 200
    assert list(diff.unexpected(diff.differences(original, ours), expected)) == []


def test_a_difference_is_seen(tables):
    diff, original, _, _ = tables
    changed = {name: dict(row) for name, row in original.items() if name != "config hz"}
    changed["config timeout"]["set nonsense"] = "OK"
    lines = list(diff.differences(original, changed))
    assert lines == ["config hz: missing", f"config timeout: set nonsense: OK in place of {original['config timeout']['set nonsense']}"]

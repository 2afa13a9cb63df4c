"""COMMAND and COMMAND DOCS tell of each command what the original's tell, and CONFIG of each setting, but what
tools/command_diff.py names with a reason."""

import importlib.util
import pathlib

PATH = pathlib.Path(__file__).resolve().parents[3] / "tools" / "command_diff.py"


def load():
    spec = importlib.util.spec_from_file_location("command_diff", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_table_is_the_originals(valkey, redis_ports):
    diff = load()
    original, ours = (diff.table_of(port) for port in redis_ports)
    assert len(original) > 300
    lines = list(diff.differences(original, ours))
    assert list(diff.unexpected(lines, diff.expected_of(redis_ports[0]))) == []


def test_a_difference_is_seen(valkey, redis_ports):
    diff = load()
    table = diff.table_of(redis_ports[0])
    changed = {name: dict(row) for name, row in table.items() if name != "get"}
    changed["set"]["arity"] = 9
    changed["del"]["flags"] = ["fast", "write"]
    lines = list(diff.differences(table, changed))
    assert list(diff.unexpected(lines, {})) == ["del: flags: with fast", "get: missing", "set: arity: 9 in place of -3"]

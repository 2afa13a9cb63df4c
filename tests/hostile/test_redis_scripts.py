"""Scripts that go too deep, never end, or take all memory: an error for their caller, and a server that goes on."""

import random

import pytest
import redis
from redis.exceptions import ResponseError

# ---- depth -----------------------------------------------------------------------------------------------------

# One call of f from within each function of the library that calls back; {} is the function to call.
NESTS = {
    "gsub": "string.gsub('a', 'a', {})",
    "gsub of a table": "string.gsub('a', 'a', setmetatable({{}}, {{__index = function() return {}() end}}))",
    "gmatch": "(function() for _ in string.gmatch('a', 'a') do {}() end end)()",
    "sort": "table.sort({{2, 1}}, {})",
    "foreach": "table.foreach({{1}}, {})",
    "foreachi": "table.foreachi({{1}}, {})",
    "wrap": "coroutine.wrap({})()",
    "resume": "(function() local ok, e = coroutine.resume(coroutine.create({})) if not ok then error(e, 0) end end)()",
    "pcall": "(function() local ok, e = pcall({}) if not ok then error(e, 0) end end)()",
    "xpcall": "(function() local ok, e = xpcall({}, tostring) if not ok then error(e, 0) end end)()",
    "handler": "xpcall(error, {})",
    "tostring": "tostring(setmetatable({{}}, {{__tostring = function() return tostring({}()) end}}))",
    "index": "setmetatable({{}}, {{__index = function() return {}() end}}).x",
    "newindex": "(function() setmetatable({{}}, {{__newindex = function() {}() end}}).x = 1 end)()",
    "add": "(setmetatable({{}}, {{__add = function() return {}() or 1 end}}) + 1)",
    "concat": "(setmetatable({{}}, {{__concat = function() return {}() or '' end}}) .. '')",
    "less": "(function() local m = {{__lt = function() return {}() end}} return setmetatable({{}}, m) < setmetatable({{}}, m) end)()",
    "equal": "(function() local m = {{__eq = function() return {}() end}} return setmetatable({{}}, m) == setmetatable({{}}, m) end)()",
    "call": "(setmetatable({{}}, {{__call = function() return {}() end}})())",
    "unary minus": "(-setmetatable({{}}, {{__unm = function() return {}() or 1 end}}))",
    "load": "load({})",
    "loadstring": "loadstring('local x = (...)() return x')({})",
    "redis.pcall": "(function() redis.pcall('echo', tostring({}())) end)()",
}  # fmt: skip


def recursion(*names):
    """A script that goes round through these functions for ever."""
    inner = "f"
    for name in names:
        inner = f"(function() return {NESTS[name].format(inner)} end)"
    return f"local f f = {inner} return f()"


@pytest.fixture
def own(ports):
    r = redis.Redis(port=ports["redis"], decode_responses=True, socket_timeout=20)
    yield r
    r.config_set("busy-reply-threshold", 5000)
    r.close()


@pytest.mark.parametrize("name", ["gsub", "wrap", "sort", "foreach", "index", "resume", "load"])
def test_nested_c_calls_are_an_overflow_of_the_c_stack(own, name):
    with pytest.raises(ResponseError, match="C stack overflow"):
        own.eval(recursion(name), 0)


@pytest.mark.parametrize("name", NESTS)
def test_no_recursion_is_too_deep_for_the_server(own, name):
    """Some end by themselves, since their function swallows the error; none takes the server along."""
    try:
        own.eval(recursion(name), 0)
    except ResponseError as error:
        assert "stack overflow" in str(error) or "error in error handling" in str(error) or "script: " in str(error)


@pytest.mark.seeds(40)
def test_no_mixture_of_recursions_is(own, seed):
    draw = random.Random(seed)
    script = recursion(*draw.choices(list(NESTS), k=draw.randint(2, 6)))
    try:
        own.eval(script, 0)
    except ResponseError as error:
        assert "compil" not in str(error), script


NESTED_TEXTS = {
    "parentheses": "loadstring('return ' .. string.rep('(', 1e5) .. '1' .. string.rep(')', 1e5))",
    "tables": "loadstring('return ' .. string.rep('{', 1e5) .. string.rep('}', 1e5))",
    "functions": "loadstring(string.rep('local function f() ', 1e4) .. string.rep('end ', 1e4))",
    "blocks": "loadstring(string.rep('do ', 1e5) .. string.rep('end ', 1e5))",
    "not": "loadstring('return ' .. string.rep('not ', 1e5) .. '1')",
    "powers": "loadstring('return ' .. string.rep('2^', 1e5) .. '1')",
    "JSON arrays": "pcall(cjson.decode, string.rep('[', 1e6))",
    "JSON objects": "pcall(cjson.decode, string.rep('{\"a\":', 1e6))",
    "a table in itself, as JSON": "pcall(cjson.encode, (function() local t = {} t[1] = t return t end)())",
    "MessagePack arrays": "pcall(cmsgpack.unpack, string.rep('\\145', 1e6))",
    "MessagePack maps": "pcall(cmsgpack.unpack, string.rep('\\129\\1', 1e6))",
    "repeated items of a pattern": "pcall(string.find, string.rep('a', 1e5), string.rep('a?', 1e5))",
    "captures of a pattern": "pcall(string.find, 'a', string.rep('(', 1e5))",
    "formats": "pcall(string.format, string.rep('%d', 1e5))",
    "unpacked results": "pcall(unpack, {}, 0, 2147483647)",
    "unpacked results, from below": "pcall(unpack, {}, -2147483648, 2147483647)",
}


@pytest.mark.parametrize("name", NESTED_TEXTS)
def test_nested_input_is_refused_or_read(own, name):
    assert own.eval(f"local ok = {NESTED_TEXTS[name]} return 1", 0) == 1


def test_a_reply_nested_in_itself_is_bounded(own):
    reply = own.eval("local t = {} t[1] = t return t", 0)
    while isinstance(reply, list):
        (reply,) = reply
    assert "reached lua stack limit" in str(reply)

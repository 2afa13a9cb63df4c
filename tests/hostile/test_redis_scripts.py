"""Scripts that go too deep, never end, or take all memory: an error for their caller, and a server that goes on."""

import random
import time

import pytest
import redis
from redis.exceptions import ResponseError

from harness.trivet import Trivet

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


# ---- loops -----------------------------------------------------------------------------------------------------

SPIN = "while true do end"
LOOPS = {
    "plainly": SPIN,
    "in a coroutine": f"coroutine.wrap(function() {SPIN} end)()",
    "in a coroutine of a coroutine": f"coroutine.wrap(function() coroutine.wrap(function() {SPIN} end)() end)()",
    "between coroutines": "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
    "in a new coroutine each time": "while true do coroutine.wrap(function() end)() end",
    "in a comparison": f"table.sort({{3, 2, 1, 4, 5, 6, 7, 8, 9}}, function() {SPIN} end)",
    "in a replacement": f"string.gsub('a', 'a', function() {SPIN} end)",
    "in a metamethod": f"return setmetatable({{}}, {{__index = function() {SPIN} end}}).x",
    "in a reader of load": f"load(function() {SPIN} end)",
    "in an error's handler": f"xpcall(error, function() {SPIN} end)",
    "around what catches errors": f"while true do pcall(function() {SPIN} end) end",
    "around what catches errors in coroutines": f"while true do pcall(coroutine.wrap(function() {SPIN} end)) end",
    "of tail calls": "local function f() return f() end return f()",
    "of commands": "while true do redis.call('ping') end",
    "of caught commands": "while true do pcall(redis.call, 'nosuch') end",
    "of a pattern that never matches": "return string.find(string.rep('a', 3000), '.-.-.-.-.-b')",
    "of greedy items": "return string.match(string.rep('a', 3000), '.*.*.*.*.*b')",
    "of a set": "return string.find(string.rep('a', 100000), '[' .. string.rep('b', 100000) .. ']')",
    "of balanced items": "return string.gsub(string.rep('(', 300000), '%b()', '')",
    "of a back reference": "return string.find(string.rep('a', 100000), '(.+)(.+)%1b')",
    "of long text": "local s = string.rep('x', 1e6) while true do local t = s .. s end",
    "of joined text": "local t = {} for i = 1, 1000 do t[i] = string.rep('x', 10000) end while true do table.concat(t) end",
    "of reversed text": "local s = string.rep('x', 1e7) while true do s = s:reverse() end",
    "of sums": "local s = string.rep('x', 1e7) while true do redis.sha1hex(s) end",
    "of a sort without a function": "local t = {} for i = 1, 200000 do t[i] = i % 3 end while true do table.sort(t) end",
    "of an insertion far in front": "table.insert({}, -2000000000, 1)",
    "of insertions in front": "local t = {} for i = 1, 1e9 do table.insert(t, 1, i) end",
    "of whole collections": "local t = {} for i = 1, 1e5 do t[i] = {} end while true do collectgarbage() end",
    "of JSON": "local t = {} for i = 1, 1e4 do t[i] = i end while true do cjson.encode(t) end",
    "of JSON read": "local t = '[' .. string.rep('1,', 1e5) .. '1]' while true do cjson.decode(t) end",
    "of MessagePack": "local t = {} for i = 1, 1e4 do t[i] = i end while true do cmsgpack.pack(t) end",
    "of a table that doubles": "local t = {1} for i = 1, 15 do t = {t, t, t, t, t, t, t, t, t, t} end return cmsgpack.pack(t)",
    "of a parser": "local s = string.rep('x=1 ', 1e5) while true do loadstring(s) end",
}  # fmt: skip


class Runner:
    """A connection that waits for its script."""

    def __init__(self, port):
        self.connection = redis.Redis(port=port, socket_timeout=30).connection_pool.get_connection()

    def start(self, *words):
        self.connection.send_command(*words)

    def reply(self):
        try:
            return self.connection.read_response()
        except ResponseError as error:
            return str(error)
        finally:
            self.connection.disconnect()


def wait_until_busy(r):
    for _ in range(1000):
        try:
            r.ping()
        except ResponseError as error:
            assert "BUSY" in str(error)
            return
        time.sleep(0.005)
    pytest.fail("nobody is told BUSY")


@pytest.fixture
def busy_soon(own):
    own.config_set("busy-reply-threshold", 30)
    return own


# Whose turns may be long: they take and give back much memory at once.
HEAVY = ("of long text", "of joined text", "of reversed text", "of sums", "of whole collections")


@pytest.mark.trivet_only
@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_is_told_and_killed_wherever_it_is(busy_soon, ports, shared, name):
    server = shared.of("redis")
    stalls = server.stalls()
    runner = Runner(ports["redis"])
    runner.start("EVAL", LOOPS[name], 0)
    wait_until_busy(busy_soon)
    assert busy_soon.script_kill()
    assert "Script killed by user with SCRIPT KILL" in str(runner.reply())
    assert busy_soon.eval("return 1", 0) == 1
    assert name in HEAVY or server.stalls() == stalls, server.log_tail(20)


@pytest.mark.parametrize("name", ["plainly", "in a coroutine", "in a comparison", "of a pattern that never matches"])
def test_a_loop_of_a_function_is_killed(busy_soon, ports, name):
    code = f"#!lua name=loop\nserver.register_function('loop', function() {LOOPS[name]} end)"
    busy_soon.execute_command("FUNCTION", "LOAD", "REPLACE", code.replace("server.", "redis."))
    runner = Runner(ports["redis"])
    runner.start("FCALL", "loop", 0)
    wait_until_busy(busy_soon)
    assert busy_soon.execute_command("FUNCTION", "KILL")
    assert "Script killed by user" in str(runner.reply())
    busy_soon.execute_command("FUNCTION", "FLUSH")


def test_a_loop_in_a_transaction_is_killed_and_the_rest_runs(busy_soon, ports):
    runner = Runner(ports["redis"])
    for words in (("MULTI",), ("SET", "before", 1), ("EVAL", SPIN, 0), ("EVAL", SPIN, 0), ("INCR", "before")):
        runner.start(*words)
        runner.connection.read_response()
    runner.start("EXEC")
    for _ in range(2):
        wait_until_busy(busy_soon)
        assert busy_soon.script_kill()
    replies = runner.reply()
    assert replies[0] == b"OK" and replies[3] == 2
    assert all("Script killed by user" in str(reply) for reply in replies[1:3])
    assert busy_soon.get("before") == "2"
    busy_soon.delete("before")


def test_a_transaction_whose_client_leaves_runs_whole(busy_soon, ports):
    runner = Runner(ports["redis"])
    runner.start("SELECT", 3)
    runner.connection.read_response()
    for words in (("MULTI",), ("EVAL", SPIN, 0), ("SET", "whole", 1)):
        runner.start(*words)
        runner.connection.read_response()
    runner.start("EXEC")
    wait_until_busy(busy_soon)
    runner.connection.disconnect()
    time.sleep(0.02)
    assert busy_soon.script_kill()
    assert busy_soon.eval("redis.call('select', 3) return redis.call('getdel', 'whole')", 0) == "1"


def test_other_clients_wait_for_a_script_of_some_turns(own, ports):
    """Below busy-reply-threshold nobody is told anything, and nobody sees half of what a script does."""
    runner = Runner(ports["redis"])
    script = "for i = 1, 3e6 do if i % 1e5 == 0 then redis.call('incr', 'half') end end return redis.call('get', 'half')"
    runner.start("EVAL", script, 0)
    seen = {own.get("half") for _ in range(50)}
    assert runner.reply() == b"30"
    assert seen <= {None, "30"}
    own.delete("half")


def test_the_other_protocols_go_on_while_a_script_loops(own, ports, answers):
    own.config_set("busy-reply-threshold", 300)
    runner = Runner(ports["redis"])
    runner.start("EVAL", SPIN, 0)
    for wing in ("kafka", "zookeeper"):
        answers[wing](ports[wing])
    wait_until_busy(own)
    assert own.script_kill()
    assert "Script killed" in str(runner.reply())


# ---- memory ----------------------------------------------------------------------------------------------------

GREED = {
    "a repeated string": "return #string.rep('x', 2000000000)",
    "a repeated long string": "return #string.rep(string.rep('x', 1e6), 1e6)",
    "a string that doubles": "local s = 'x' while true do s = s .. s end",
    "a table": "local t = {} for i = 1, 1e9 do t[i] = i end",
    "a table of tables": "local t = {} while true do t = {t} end",
    "a table of strings": "local t = {} for i = 1, 1e9 do t[i] = 'x' .. i end",
    "keys of a table": "local t = {} for i = 1, 1e9 do t['x' .. i] = true end",
    "closures": "local t = {} for i = 1, 1e9 do t[i] = function() return i end end",
    "coroutines": "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(function() end) end",
    "a buffer of gsub": "return #string.gsub(string.rep('x', 1e6), 'x', string.rep('y', 1e6))",
    "a joined table": "local t, s = {}, string.rep('x', 1e6) for i = 1, 1e6 do t[i] = s end return #table.concat(t)",
    "a stack": "local function f(n) return 1 + f(n) end return f(1)",
    "arguments": "return select('#', unpack({}, 1, 7999))",
    "JSON of a table that doubles": "local t = {1} for i = 1, 30 do t = {t, t} end return #cjson.encode(t)",
    "JSON of a long string": "local t = string.rep('\\1', 5e7) return #cjson.encode(t)",
    "MessagePack of a table that doubles": "local t = {string.rep('x', 100)} for i = 1, 14 do t = {t, t, t, t} end return #cmsgpack.pack(t)",
    "MessagePack of long strings": "local s = string.rep('x', 1e7) local t = {} for i = 1, 1000 do t[i] = s end return #cmsgpack.pack(t)",
    "a reply of a table that doubles": "local t = {string.rep('x', 1000)} for i = 1, 100 do t = {t, t} end return t",
    "a reply of long strings": "local s = string.rep('x', 1e7) local t = {} for i = 1, 1000 do t[i] = s end return t",
    "loaded text": "return loadstring('return ' .. string.rep('{', 190) .. string.rep('1,', 1e8))",
}  # fmt: skip
ENDS_BY_ITSELF = ("a stack", "arguments", "loaded text")


def takes_little(server):
    """Of a 64 MB limit, not of 20 times that."""
    return server.resident_bytes() < 400 << 20


@pytest.fixture(scope="module")
def small():
    """A server whose scripts may take 64 MB."""
    server = Trivet({"redis": {"script-memory-max": "64mb"}}).start()
    yield redis.Redis(port=server.port_of("redis"), decode_responses=True, socket_timeout=30), server
    server.close()


@pytest.mark.parametrize("name", GREED)
def test_a_script_that_takes_all_memory_is_told_so(small, name):
    r, server = small
    try:
        r.eval(GREED[name], 0)
        assert name in ENDS_BY_ITSELF
    except ResponseError as error:
        assert "not enough memory" in str(error) or name in ENDS_BY_ITSELF, str(error)
    assert r.eval("return 1", 0) == 1
    assert takes_little(server)
    for _ in range(500):
        if r.info("memory")["used_memory_lua"] < 20_000_000:
            return
        time.sleep(0.02)
    pytest.fail("what the script took is not given back")


def test_garbage_does_not_count_as_what_a_script_takes(small):
    r, _ = small
    big = "local s = string.rep('x', 1e7) local n = 0 for i = 1, 100 do local t = s .. i n = n + #t end return n"
    assert r.eval(big, 0) > 1e9
    many = "local n = 0 for i = 1, 3e5 do local t = {i, i, i, {i}} n = n + #t end return n"
    assert r.eval(many, 0) == 1200000
    assert r.eval("for i = 1, 50 do string.rep('x', 2e7) end return 1", 0) == 1


def test_scripts_whose_clients_do_not_read_take_no_more_than_their_share(small):
    r, server = small
    runners = [Runner(server.port_of("redis")) for _ in range(20)]
    for runner in runners:
        runner.start("EVAL", "return string.rep('x', 2e8)", 0)
    assert r.ping()
    assert takes_little(server)
    for runner in runners:
        assert "not enough memory" in str(runner.reply())


def test_the_setting_can_be_changed(small):
    r, _ = small
    script = "return #string.rep('x', 5e7)"
    with pytest.raises(ResponseError, match="not enough memory"):
        r.eval(script, 0)
    r.config_set("script-memory-max", "256mb")
    assert r.eval(script, 0) == 50000000
    r.config_set("script-memory-max", "64mb")

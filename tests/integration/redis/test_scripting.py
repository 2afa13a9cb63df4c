"""EVAL and its kin: what scripts see, what they may do, what becomes of it, and how a long one is stopped."""

import threading
import time

import pytest
import redis
from redis.exceptions import ResponseError

SPIN = "while true do end"


def fails(match, call, *words):
    with pytest.raises(ResponseError, match=match) as failure:
        call(*words)
    return str(failure.value)


def test_keys_and_arguments_reach_the_script(r):
    assert r.eval("return {KEYS[1], KEYS[2], ARGV[1]}", 2, "a", "b", "x") == ["a", "b", "x"]


@pytest.mark.parametrize(
    ("script", "reply"),
    [
        ("return 3.99", 3),
        ("return 'text'", "text"),
        ("return false", None),
        ("return {1, 'x', {2}, nil, 3}", [1, "x", [2]]),
        ("return redis.status_reply('FINE')", "FINE"),
        ("return redis.call('set', KEYS[1], 'v')", "OK"),
        ("return redis.call('get', 'absent')", None),
        ("redis.call('rpush', 'l', 'a', 'b') return redis.call('lrange', 'l', 0, -1)", ["a", "b"]),
        ("return #redis.sha1hex('')", 40),
        ("return redis.call('lpush', 'many', unpack(cjson.decode('[' .. string.rep('1,', 7000) .. '1]')))", 7001),
    ],
)
def test_values_become_replies(r, script, reply):
    answer = r.eval(script, 1, "k")
    assert (answer.decode() if isinstance(answer, bytes) else answer) == reply


def test_setresp_shows_resp3_values(r3):
    r3.hset("h", "f", "v")
    assert r3.eval("redis.setresp(3) return redis.call('hgetall', 'h')", 0) == {"f": "v"}
    assert r3.eval("return redis.call('hgetall', 'h')", 0) == ["f", "v"]
    assert r3.eval("redis.setresp(3) return redis.call('hgetall', 'h').map.f", 0) == "v"


def test_number_of_keys_is_checked(r):
    fails("Number of keys can't be greater than number of args", r.eval, "return 1", 2, "a")
    fails("Number of keys can't be negative", r.eval, "return 1", -1)
    fails("value is not an integer or out of range", r.execute_command, "EVAL", "return 1", "x")


def test_scripts_are_known_by_their_sha(r):
    r.script_flush()
    sha = r.script_load("return ARGV[1]")
    assert r.script_exists(sha, "0" * 40) == [True, False]
    assert r.evalsha(sha.upper(), 0, "x") == "x"
    r.script_flush("SYNC")
    fails("No matching script", r.evalsha, sha, 0, "x")
    fails("No matching script", r.evalsha, "short", 0)
    r.eval("return ARGV[1]", 0, "y")
    assert r.evalsha(sha, 0, "x") == "x"
    fails("SCRIPT FLUSH only support SYNC.ASYNC option", r.execute_command, "SCRIPT", "FLUSH", "NOW")


def test_a_script_that_does_not_compile(r):
    fails("Error compiling script", r.eval, "return (", 0)
    fails("Error compiling script", r.script_load, "return (")


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("redis.call('nosuchcommand')", "Unknown .*command called from script"),
        ("redis.call('get')", "Wrong number of args calling .*command from script"),
        ("redis.call('subscribe', 'c')", "This .* command is not allowed from script"),
        ("redis.call('eval', 'return 1', 0)", "This .* command is not allowed from script"),
        ("redis.call()", "Please specify at least one argument"),
        ("redis.call('lpush', KEYS[1], 'x')", "WRONGTYPE"),
        ("x = 1", "Attempt to modify a readonly table"),
        ("return x", "nonexistent global variable 'x'"),
    ],
)
def test_errors_end_the_script(r, script, text):
    r.set("k", "v")
    assert "script: " in fails(text, r.eval, script, 1, "k")


def test_pcall_hands_the_error_to_the_script(r):
    assert r.eval("return redis.pcall('incr').err ~= nil", 0) == 1
    fails("^MINE mine$", r.eval, "return redis.error_reply('MINE mine')", 0)


def test_errors_are_counted_once(r):
    for script, error in (("redis.call('select', 99)", "ERR"), ("return redis.error_reply('MINE mine')", "MINE")):
        r.config_resetstat()
        with pytest.raises(ResponseError):
            r.eval(script, 0)
        assert r.info("errorstats") == {f"errorstat_{error}": {"count": 1}}
        stats = r.info("commandstats")["cmdstat_eval"]
        assert (stats["calls"], stats["failed_calls"], stats["rejected_calls"]) == (1, 1, 0)


def test_select_stays_inside_the_script(r):
    r.set("k", "zero")
    r.eval("redis.call('select', 5) return redis.call('set', 'k', 'five')", 0)
    assert r.get("k") == "zero"
    assert r.eval("redis.call('select', 5) return redis.call('get', 'k')", 0) == "five"


def test_blocking_commands_do_not_wait(r):
    assert r.eval("return redis.call('blpop', 'empty', 0)", 0) is None
    assert r.eval("redis.call('rpush', 'l', 'x') return redis.call('blpop', 'l', 0)", 0) == ["l", "x"]


def test_read_only_scripts_do_not_write(r):
    r.set("k", "v")
    assert r.execute_command("EVAL_RO", "return redis.call('get', KEYS[1])", 1, "k") == "v"
    for call in ("set", "publish"):
        fails(
            "Write commands are not allowed from read-only scripts",
            r.execute_command, "EVAL_RO", f"return redis.call('{call}', 'k', 'x')", 0,
        )  # fmt: skip
    sha = r.script_load("return redis.call('set', 'k', 'x')")
    fails("Write commands are not allowed", r.execute_command, "EVALSHA_RO", sha, 0)
    declared = "#!lua flags=no-writes\nreturn redis.call('set', 'k', 'x')"
    fails("Write commands are not allowed", r.eval, declared, 0)
    fails("Can not execute a script with write flag", r.execute_command, "EVAL_RO", "#!lua\nreturn 1", 0)


def test_shebang_is_checked(r):
    assert r.eval("#!lua\nreturn 1", 0) == 1
    fails("Unexpected engine in script shebang", r.eval, "#!not-lua\nreturn 1", 0)
    fails("Unexpected flag in script shebang: what", r.eval, "#!lua flags=what\nreturn 1", 0)


def test_memory_limit_is_looked_at_before_the_first_write(r):
    write = "return redis.call('set', 'k', 'v')"
    r.config_set("maxmemory", 1)
    try:
        fails("command not allowed when used memory > 'maxmemory'", r.eval, write, 0)
        fails("command not allowed when used memory > 'maxmemory'", r.eval, f"#!lua\n{write}", 0)
        assert r.eval(f"#!lua flags=allow-oom\n{write}", 0) == b"OK" or r.get("k") == "v"
        assert r.eval("redis.call('del', 'k') return redis.call('set', 'k', 'w') ~= nil", 0) == 1
    finally:
        r.config_set("maxmemory", 0)


def test_time_stands_still(r):
    script = """redis.call('set', 'k', 'v', 'px', 30)
                local n = 0
                local clock = os.clock()
                while os.clock() - clock < 0.1 do n = n + 1 end
                return redis.call('exists', 'k')"""
    assert r.eval(script, 0) == 1
    assert r.exists("k") == 0


def test_inside_a_transaction(r):
    with r.pipeline(transaction=True) as pipe:
        replies = pipe.set("k", 1).eval("return redis.call('incr', 'k')", 0).incr("k").execute()
    assert replies == [True, 2, 3]


def test_watched_keys_notice_scripts(r, connect):
    with r.pipeline() as pipe:
        pipe.watch("k")
        connect().eval("redis.call('set', 'k', 'v')", 0)
        pipe.multi()
        pipe.ping()
        with pytest.raises(redis.WatchError):
            pipe.execute()


def test_blocked_clients_are_served_after_the_script(r, connect, eventually):
    got = []
    waiter = threading.Thread(target=lambda: got.append(connect().blpop("l")))
    waiter.start()
    eventually(lambda: r.info("clients")["blocked_clients"] == 1)
    r.eval("redis.call('rpush', 'l', 'a') redis.call('lpush', 'l', 'b')", 0)
    waiter.join(10)
    assert [list(pair) for pair in got] == [["l", "b"]]


def test_keyspace_events_come_from_scripts(r, connect):
    r.config_set("notify-keyspace-events", "KEA")
    try:
        listener = connect().pubsub(ignore_subscribe_messages=True)
        listener.subscribe("__keyevent@0__:set")
        listener.get_message(timeout=60)
        r.eval("redis.call('set', 'k', 'v')", 0)
        assert listener.get_message(timeout=60)["data"] == "k"
        listener.close()
    finally:
        r.config_set("notify-keyspace-events", "")


def test_libraries_can_be_listed_but_not_changed(r):
    assert r.eval("local n = {} for k in pairs(os) do n[#n + 1] = k end return n", 0) == ["clock"]
    fails("readonly table", r.eval, "string.format = nil", 0)
    fails("readonly table", r.eval, "local m = getmetatable(_G) m.__index = {}", 0)
    assert r.eval("return bit.tohex(65535, -4)", 0) == "FFFF"


def test_scripts_that_only_eval_knows_are_forgotten_one_day(r):
    r.script_flush()
    kept = r.script_load("return 'kept'")
    first = r.script_load("return 'first'")
    r.script_flush()
    kept = r.script_load("return 'kept'")
    r.eval("return 'first'", 0)
    for n in range(500):
        r.eval(f"return {n}", 0)
    assert r.script_exists(kept, first) == [True, False]
    assert r.info("memory")["number_of_cached_scripts"] == 501


def test_the_order_of_a_table_is_the_same_after_every_start(launch):
    """One order, and the originals'."""
    script = "return cjson.encode({b = 1, a = 2, c = 3, d = 4, user = 'x'})"
    for _ in range(3):
        with redis.Redis(port=launch("redis").port_of("redis"), decode_responses=True) as fresh:
            assert fresh.eval(script, 0) == '{"a":2,"c":3,"b":1,"d":4,"user":"x"}'


def test_numbers_become_arguments_without_loss(r):
    assert r.eval("return redis.call('incrby', KEYS[1], 1e17)", 1, "n") == 10**17
    assert r.eval("redis.call('set', KEYS[1], 0.1) return redis.call('get', KEYS[1])", 1, "k") == "0.1"


@pytest.mark.parametrize("words", [("EVALSHA", "0" * 40, "0"), ("EVAL", "return (", "0"), ("EVAL", "return 1", "x"), ("FCALL", "absent", "0")])
def test_monitors_see_a_script_that_is_not_run(r, connect, words):
    with connect().monitor() as monitor:
        with pytest.raises(ResponseError):
            r.execute_command(*words)
        assert words[0].lower() in monitor.next_command()["command"].lower()


def test_a_pause_of_writes_lets_transactions_of_reading_scripts_pass(r, connect):
    conn = connect().connection_pool.get_connection()
    r.execute_command("CLIENT", "PAUSE", 20000, "WRITE")
    try:
        for words in (("MULTI",), ("EVAL", "#!lua flags=no-writes\nreturn 12", 0), ("EXEC",)):
            conn.send_command(*words)
            reply = conn.read_response(timeout=5)
        assert reply == [12]
        for words in (("MULTI",), ("EVAL", "return 12", 0)):
            conn.send_command(*words)
            conn.read_response(timeout=5)
        conn.send_command("EXEC")
        assert not conn.can_read(timeout=0.1)
    finally:
        r.execute_command("CLIENT", "UNPAUSE")
    assert conn.read_response() == [12]
    conn.disconnect()


# ---- long scripts ----------------------------------------------------------------------------------------------


@pytest.fixture
def long_script(r, connect, eventually):
    """long_script(text): runs it on a connection of its own, until others hear BUSY. Its end: .join() and .reply."""
    r.config_set("busy-reply-threshold", 20)

    class Running(threading.Thread):
        def __init__(self, call):
            super().__init__(daemon=True)
            self.call, self.reply = call, None

        def run(self):
            try:
                self.reply = self.call()
            except redis.RedisError as error:
                self.reply = error

    def is_busy():
        try:
            r.ping()
        except redis.RedisError as error:
            return "BUSY" in str(error) or "busy" in str(error)
        return False

    def start(script, *words):
        runner = connect()
        running = Running(lambda: runner.eval(script, len(words), *words))
        running.start()
        eventually(is_busy)
        return running

    yield start
    r.config_set("busy-reply-threshold", 5000)


def test_a_long_script_keeps_others_out_and_can_be_killed(r, long_script):
    running = long_script(SPIN)
    fails("busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE", r.get, "k")
    fails("busy running a script", r.execute_command, "SHUTDOWN")
    assert r.script_kill()
    running.join(10)
    assert "Script killed by user with SCRIPT KILL" in str(running.reply)
    assert r.ping()
    fails("No scripts in execution right now", r.script_kill)


def test_no_pcall_outlives_the_kill(r, long_script):
    running = long_script("while true do pcall(function() while true do redis.pcall('ping') end end) end")
    r.script_kill()
    running.join(10)
    assert "Script killed by user" in str(running.reply)


def test_a_script_that_has_written_cannot_be_killed_and_ends_whole(r, long_script):
    r.rpush("l", "x")
    script = "redis.call('set', 'a', 1) local n = os.clock() while os.clock() - n < 0.7 do end redis.call('set', 'b', 2)"
    running = long_script(script)
    with pytest.raises(redis.RedisError, match="already executed write commands"):
        r.script_kill()
    running.join(20)
    assert running.reply is None
    assert r.mget("a", "b") == ["1", "2"]


def test_the_caller_of_a_paused_script_may_leave(r, connect, eventually, long_script):
    script = "local n = os.clock() while os.clock() - n < 0.4 do end return redis.call('set', 'done', 1)"
    leaver = connect().connection_pool.get_connection()
    leaver.send_command("EVAL", script, 0)
    time.sleep(0.1)
    leaver.disconnect()

    def done():
        try:
            return r.get("done") == "1"
        except redis.RedisError:
            return False

    eventually(done, seconds=30)


def test_transactions_are_refused_while_a_script_is_paused(r, connect, long_script):
    conn = connect().connection_pool.get_connection()
    running = long_script(SPIN)
    try:
        for words, expected in ((("MULTI",), "OK"), (("PING",), "busy running"), (("EXEC",), "EXECABORT|busy|Transaction")):
            conn.send_command(*words)
            try:
                reply = str(conn.read_response())
            except redis.RedisError as error:
                reply = str(error)
            assert any(part in reply for part in expected.split("|")), reply
    finally:
        r.script_kill()
        running.join(10)
        conn.disconnect()


def test_what_a_script_wrote_is_there_after_a_crash(launch):
    server = launch("redis", appendonly="yes", appendfsync="always")
    r = redis.Redis(host=server.host, port=server.port_of("redis"), decode_responses=True)
    r.eval("for i = 1, 100 do redis.call('incr', 'n') end redis.call('select', 3) redis.call('set', 'three', 1)", 0)
    r.eval("redis.call('spop', 's') redis.call('sadd', 's', 1, 2, 3) redis.call('spop', 's')", 0)
    members = r.smembers("s")
    server.restart(kill=True)
    r = redis.Redis(host=server.host, port=server.port_of("redis"), decode_responses=True)
    assert (r.get("n"), r.smembers("s")) == ("100", members)
    assert r.eval("redis.call('select', 3) return redis.call('get', 'three')", 0) == "1"


def test_a_paused_script_is_whole_or_absent_after_a_crash(launch):
    server = launch("redis", appendonly="yes", appendfsync="always")
    options = {"host": server.host, "port": server.port_of("redis"), "decode_responses": True}
    r = redis.Redis(**options)
    r.config_set("busy-reply-threshold", 10)
    r.set("before", 1)
    runner = redis.Redis(**options).connection_pool.get_connection()
    runner.send_command("EVAL", f"redis.call('set', 'a', 1) {SPIN}", 0)
    time.sleep(0.5)
    server.restart(kill=True)
    runner.disconnect()
    r = redis.Redis(host=server.host, port=server.port_of("redis"), decode_responses=True)
    assert (r.get("before"), r.get("a")) == ("1", None)


# ---- functions -------------------------------------------------------------------------------------------------

LIBRARY = """#!lua name=mylib
local function get(keys, args) return redis.call('get', keys[1]) end
redis.register_function('myset', function(keys, args) return redis.call('set', keys[1], args[1]) ~= nil end)
redis.register_function{function_name='myget', callback=get, flags={'no-writes'}, description='gets'}
"""


@pytest.fixture
def f(r):
    r.execute_command("FUNCTION", "FLUSH")
    return r


def load(r, code, *options):
    return r.execute_command("FUNCTION", "LOAD", *options, code)


def test_functions_are_called_by_name(f):
    assert load(f, LIBRARY) == "mylib"
    assert f.execute_command("FCALL", "MYSET", 1, "k", "v") == 1
    assert f.execute_command("FCALL_RO", "myget", 1, "k") == "v"
    fails("Can not execute a script with write flag using ._ro command", f.execute_command, "FCALL_RO", "myset", 1, "k", "v")
    fails("Function not found", f.execute_command, "FCALL", "absent", 0)
    fails("Bad number of keys provided", f.execute_command, "FCALL", "myget", "x")
    fails("Number of keys can't be greater", f.execute_command, "FCALL", "myget", 1)


def test_a_library_is_whole_or_absent(f):
    load(f, LIBRARY)
    fails("Library 'mylib' already exists", load, f, LIBRARY)
    fails("Function my[gs]et already exists", load, f, LIBRARY.replace("name=mylib", "name=other"))
    fails("No functions registered", load, f, "#!lua name=none\nreturn 1")
    fails("Missing library metadata", load, f, "return 1")
    fails("Library name was not given", load, f, "#!lua\nreturn 1")
    fails("Library names can only contain", load, f, "#!lua name=a-b\nreturn 1")
    fails("Engine '.*' not found", load, f, "#!what name=ab\nreturn 1")
    fails("Error compiling function", load, f, "#!lua name=broken\nreturn (")
    fails("Error registering functions", load, f, "#!lua name=broken\nredis.register_function('x')")
    fails("Error registering functions", load, f, "#!lua name=mylib\nredis.register_function('y', 1)", "REPLACE")
    fails("register_function|FUNCTION LOAD", f.eval, "redis.register_function('x', function() end)", 0)
    f.set("k", "still here")
    assert f.execute_command("FCALL", "myget", 1, "k") == "still here"
    replaced = "#!lua name=mylib\nredis.register_function('other', function(keys, args) return #args end)"
    assert load(f, replaced, "REPLACE") == "mylib"
    assert f.execute_command("FCALL", "other", 0, "a", "b") == 2
    fails("Function not found", f.execute_command, "FCALL", "myget", 0)


def test_libraries_are_listed_and_deleted(r3):
    r3.execute_command("FUNCTION", "FLUSH")
    load(r3, LIBRARY)
    (library,) = r3.execute_command("FUNCTION", "LIST", "LIBRARYNAME", "my*", "WITHCODE")
    assert (library["library_name"], library["engine"], library["library_code"]) == ("mylib", "LUA", LIBRARY)
    functions = {one["name"]: (one["description"], set(one["flags"])) for one in library["functions"]}
    assert functions == {"myget": ("gets", {"no-writes"}), "myset": (None, set())}
    stats = r3.execute_command("FUNCTION", "STATS")
    assert stats == {"running_script": None, "engines": {"LUA": {"libraries_count": 1, "functions_count": 2}}}
    assert r3.execute_command("FUNCTION", "LIST", "LIBRARYNAME", "x*") == []
    r3.execute_command("FUNCTION", "DELETE", "mylib")
    fails("Library not found", r3.execute_command, "FUNCTION", "DELETE", "mylib")


def test_a_long_function_is_killed_as_a_function(f, connect, eventually):
    load(f, f"#!lua name=spin\nredis.register_function('spin', function() {SPIN} end)")
    f.config_set("busy-reply-threshold", 20)
    conn = connect().connection_pool.get_connection()
    conn.send_command("FCALL", "spin", 0)

    def is_running():
        stats = f.execute_command("FUNCTION", "STATS")
        return (stats["running_script"] if isinstance(stats, dict) else stats[1]) is not None

    eventually(is_running)
    with pytest.raises(redis.RedisError, match="You can only call FUNCTION KILL"):
        f.script_kill()
    assert f.execute_command("FUNCTION", "KILL") in ("OK", b"OK")
    with pytest.raises(redis.RedisError, match="Script killed by user"):
        conn.read_response()
    conn.disconnect()
    f.config_set("busy-reply-threshold", 5000)


@pytest.mark.parametrize("rewritten", [False, True])
def test_functions_are_there_after_a_crash(launch, eventually, rewritten):
    server = launch("redis", appendonly="yes", appendfsync="always")
    r = redis.Redis(host=server.host, port=server.port_of("redis"), decode_responses=True)
    load(r, LIBRARY)
    load(r, LIBRARY, "REPLACE")
    if rewritten:
        r.bgrewriteaof()
        eventually(lambda: not r.info("persistence")["aof_rewrite_in_progress"])
        eventually(lambda: not r.info("persistence")["aof_rewrite_scheduled"])
    server.restart(kill=True)
    r = redis.Redis(host=server.host, port=server.port_of("redis"), decode_responses=True)
    assert r.execute_command("FCALL", "myset", 1, "k", "v") == 1
    assert r.execute_command("FCALL", "myget", 1, "k") == "v"

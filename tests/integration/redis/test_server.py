"""What a client learns of and does to the server: HELLO, CLIENT, CONFIG, COMMAND, INFO, AUTH, inline commands."""

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.exceptions import AuthenticationError, ResponseError

from harness.process import exchange
from wire import resp


def client(server, **options):
    options = {"decode_responses": True, "retry": Retry(NoBackoff(), 0), **options}
    return redis.Redis(host=server.host, port=server.port_of("redis"), **options)


def test_hello_tells_the_protocol_and_refuses_unknown_ones(r):
    reply = r.execute_command("HELLO")
    fields = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
    assert int(fields["proto"]) == r.connection_pool.connection_kwargs["protocol"]
    assert fields["role"] == "master"
    with pytest.raises(ResponseError, match="NOPROTO"):
        r.execute_command("HELLO", 4)


def test_inline_commands_are_understood_with_quotes(redis_server):
    port = redis_server.port_of("redis")
    request = b'PING\r\nSET "in line" \'a b\'\r\nGET "in line"\r\nECHO "\\x41\\n"\r\nQUIT\r\n'
    assert exchange(port, request) == b"+PONG\r\n+OK\r\n$3\r\na b\r\n$2\r\nA\n\r\n+OK\r\n"


def test_empty_lines_and_empty_arrays_are_skipped(redis_server):
    assert exchange(redis_server.port_of("redis"), b"\r\n*0\r\n*-1\r\nPING\r\nQUIT\r\n") == b"+PONG\r\n+OK\r\n"


def test_ten_thousand_pipelined_commands_are_answered_in_order(r):
    with r.pipeline(transaction=False) as pipe:
        for n in range(10_000):
            pipe.echo(str(n))
        assert pipe.execute() == [str(n) for n in range(10_000)]


def test_client_names_ids_and_lists(r, connect):
    one = connect(client_name="worker", single_connection_client=True)
    assert one.client_getname() == "worker"
    number = one.client_id()
    listed = {int(entry["id"]): entry for entry in r.client_list()}
    assert listed[number]["name"] == "worker"
    assert one.client_info()["id"] in (number, str(number))
    assert [int(entry["id"]) for entry in r.client_list(client_id=[number])] == [number]
    with pytest.raises(ResponseError, match="Client names cannot contain spaces"):
        one.client_setname("two words")


def test_client_kill_closes_that_connection(r, connect, eventually):
    raw = connect().connection_pool.make_connection()
    raw.connect()
    raw.send_command("CLIENT", "ID")
    number = raw.read_response()
    assert r.client_kill_filter(_id=str(number)) == 1
    with pytest.raises(redis.exceptions.ConnectionError):
        raw.send_command("PING")
        raw.read_response()
    assert r.client_kill_filter(_id=str(number)) == 0


def test_client_reply_off_and_skip_silence_the_server(redis_server):
    request = b"CLIENT REPLY SKIP\r\nPING\r\nECHO one\r\nCLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY ON\r\nECHO two\r\nQUIT\r\n"
    expected = b"$3\r\none\r\n+OK\r\n$3\r\ntwo\r\n+OK\r\n"
    assert exchange(redis_server.port_of("redis"), request) == expected


def test_client_no_evict_is_accepted(r):
    assert r.client_no_evict("ON") == "OK" and r.client_no_evict("OFF") == "OK"


def test_config_get_set_by_glob_and_unit(r):
    old = r.config_get("maxmemory")["maxmemory"]
    r.config_set("maxmemory", "100mb")
    assert r.config_get("maxmemory") == {"maxmemory": "104857600"}
    r.config_set("maxmemory", old)
    assert {"maxmemory", "maxmemory-policy", "maxmemory-samples"} <= set(r.config_get("maxmemory*"))
    assert r.config_get("no-such-directive") == {}
    with pytest.raises(ResponseError, match="Unknown option"):
        r.config_set("no-such-directive", "1")
    with pytest.raises(ResponseError, match="CONFIG SET failed"):
        r.config_set("maxmemory-policy", "nonsense")


def test_info_has_its_sections_and_counts(r):
    info = r.info()
    for field in ("redis_version", "process_id", "tcp_port", "uptime_in_seconds", "connected_clients", "used_memory",
                  "maxmemory", "aof_enabled", "total_commands_processed", "keyspace_hits", "role"):  # fmt: skip
        assert field in info, field
    r.mset({"a": 1, "b": 2})
    r.expire("a", 100)
    keyspace = r.info("keyspace")["db0"]
    assert (keyspace["keys"], keyspace["expires"]) == (2, 1)
    assert set(r.info("server")) & {"used_memory"} == set()
    r.get("a")
    assert r.info("stats")["keyspace_hits"] > 0
    r.config_resetstat()
    assert r.info("stats")["keyspace_hits"] == 0
    r.get("a")
    assert r.info("stats")["keyspace_hits"] == 1


def test_command_count_info_getkeys_and_docs_agree(r):
    conn = r.connection_pool.get_connection()

    def ask(*words):
        conn.send_command(*words)
        return conn.read_response()

    try:
        names = ask("COMMAND", "LIST")
        assert ask("COMMAND", "COUNT") == len([name for name in names if "|" not in name])
        get, missing = ask("COMMAND", "INFO", "get", "nosuch")
        assert get[0] == "get" and get[1] == 2 and get[3:6] == [1, 1, 1] and missing is None
        assert "get" in ask("COMMAND", "DOCS", "get")
    finally:
        r.connection_pool.release(conn)
    assert r.command_getkeys("MSET", "a", "1", "b", "2") == ["a", "b"]
    assert r.command_getkeys("ZUNIONSTORE", "d", "2", "x", "y") == ["d", "x", "y"]
    with pytest.raises(ResponseError, match="no key arguments"):
        r.execute_command("COMMAND", "GETKEYS", "PING")


def test_arity_is_checked_before_anything_runs(r):
    with pytest.raises(ResponseError, match="wrong number of arguments for 'get' command"):
        r.execute_command("GET")
    with pytest.raises(ResponseError, match="wrong number of arguments for 'client|setname' command"):
        r.execute_command("CLIENT", "SETNAME")
    with pytest.raises(ResponseError, match="unknown command 'NOSUCH', with args beginning with: 'a' 'b'"):
        r.execute_command("NOSUCH", "a", "b")
    with pytest.raises(ResponseError, match="unknown subcommand 'NOSUCH'"):
        r.execute_command("CLIENT", "NOSUCH")


def test_flushall_empties_every_database(r, connect):
    r.set("k", 1)
    connect(db=5).set("k", 1)
    r.flushall()
    assert r.dbsize() == 0 and connect(db=5).dbsize() == 0


def test_a_password_is_required_asked_for_and_checked(launch):
    server = launch("redis", requirepass="sesame")
    with pytest.raises(AuthenticationError):
        client(server).ping()
    with pytest.raises((AuthenticationError, ResponseError)):
        client(server, password="wrong").ping()
    for protocol in (2, 3):
        assert client(server, password="sesame", protocol=protocol).ping()
    assert exchange(server.port_of("redis"), b"GET k\r\nQUIT\r\n").startswith(b"-NOAUTH Authentication required.\r\n")
    assert exchange(server.port_of("redis"), b"AUTH nope\r\n", 1).startswith(b"-WRONGPASS")


def test_auth_without_a_password_set_is_an_error(redis_server):
    reply = exchange(redis_server.port_of("redis"), b"AUTH x\r\nQUIT\r\n")
    assert reply.startswith(b"-ERR AUTH <password> called without any password configured")


def test_reset_returns_the_connection_to_its_first_state(redis_server):
    request = b"SELECT 3\r\nMULTI\r\nRESET\r\nGET k\r\nEXEC\r\nQUIT\r\n"
    reply = exchange(redis_server.port_of("redis"), request)
    assert reply.startswith(b"+OK\r\n+OK\r\n+RESET\r\n") and b"-ERR EXEC without MULTI" in reply


def test_a_password_with_a_nul_is_that_password(launch):
    server = launch("redis")
    one, password = resp.Connection(server.port_of("redis")), b"abc\x00def"
    assert one.ask("CONFIG", "SET", "requirepass", password) == ("+", "OK")
    assert one.ask("CONFIG", "GET", "requirepass")[1][1] == ("$", password)
    other = resp.Connection(server.port_of("redis"))
    for guess in (b"abc", b"abc\x00", b"abc\x00deg", b"abc\x00def\x00", b""):
        assert other.ask("AUTH", guess)[1].startswith("WRONGPASS")
        assert other.ask("HELLO", 3, "AUTH", "default", guess)[1].startswith("WRONGPASS")
    assert other.ask("AUTH", password) == ("+", "OK")


@pytest.mark.trivet_only  # the original takes what stands before the NUL
@pytest.mark.parametrize(
    "call",
    [
        ("CONFIG", "SET", "maxmemory", b"1\x00"),
        ("CONFIG", "SET", "hz", b"10\x00"),
        ("CONFIG", "SET", "appendonly", b"no\x00"),
        ("CONFIG", "SET", "notify-keyspace-events", b"KEA\x00"),
        ("SET", "key", "value", b"KEEPTTL\x00x"),
        ("EXPIRE", "key", 100, b"NX\x00"),
        ("CLIENT", "NO-TOUCH", b"ON\x00"),
    ],
)
def test_a_word_with_a_nul_is_not_the_word_before_it(redis_server, call):
    one = resp.Connection(redis_server.port_of("redis"))
    one.ask("SET", "key", "value")
    assert one.ask(*call)[0] == "-"


def test_the_slow_log_shows_words_with_a_nul_whole(launch):
    one = resp.Connection(launch("redis").port_of("redis"))
    one.ask("CONFIG", "SET", "slowlog-log-slower-than", 0)
    one.ask("ECHO", b"a\x00b")
    entries = one.ask("SLOWLOG", "GET", 1)[1]
    assert entries[0][1][3] == ("*", [("$", b"ECHO"), ("$", b"a\x00b")])


HIDDEN = "(redacted)"
# What a client sends, and what others may see of it.
SECRETS = {
    ("AUTH", "pw1"): ("AUTH", HIDDEN),
    ("AUTH", "default", "pw1"): ("AUTH", HIDDEN, HIDDEN),
    ("AUTH", "nobody", "pw2"): ("AUTH", HIDDEN, HIDDEN),
    ("HELLO", "2", "AUTH", "default", "pw1", "SETNAME", "me"): ("HELLO", "2", "AUTH", HIDDEN, HIDDEN, "SETNAME", "me"),
    ("HELLO", "2", "SETNAME", "auth", "AUTH", "default", "pw1"): ("HELLO", "2", "SETNAME", "auth", "AUTH", HIDDEN, HIDDEN),
    ("CONFIG", "SET", "maxmemory", "0", "RequirePass", "pw1"): ("CONFIG", "SET", "maxmemory", "0", "RequirePass", HIDDEN),
    ("CONFIG", "SET", "masterauth", "pw3", "hz", "10"): ("CONFIG", "SET", "masterauth", HIDDEN, "hz", "10"),
}


def test_passwords_are_shown_neither_in_the_slow_log_nor_to_monitors(launch):
    port = launch("redis").port_of("redis")
    with resp.Connection(port) as one, resp.Connection(port) as monitor:
        one.ask("CONFIG", "SET", "slowlog-log-slower-than", 0)
        one.ask("CONFIG", "SET", "requirepass", "pw1")
        assert monitor.ask("AUTH", "pw1") == ("+", "OK")
        monitor.ask("MONITOR")
        for sent, shown in SECRETS.items():
            one.ask(*sent)
            words = one.ask("SLOWLOG", "GET", 1)[1][0][1][3][1]
            assert tuple(word.decode() for _, word in words) == shown
            if sent[0] != "CONFIG":
                assert monitor.read()[1].endswith(" ".join(f'"{word}"' for word in shown))


def test_a_command_that_blocks_stays_silent_after_reply_skip(redis_server):
    skipping, other = (resp.Connection(redis_server.port_of("redis")) for _ in range(2))
    for blocking, wake in [
        (("BLPOP", "skipped", 0), ("RPUSH", "skipped", "x")),
        (("BLPOP", "skipped", 0.05), None),
        (("BZPOPMIN", "skipped", 0.05), None),
        (("BLMOVE", "skipped", "to", "LEFT", "LEFT", 0), ("RPUSH", "skipped", "x")),
        (("WAIT", 1, 50), None),
    ]:
        skipping.socket.sendall(resp.encode("CLIENT", "REPLY", "SKIP") + resp.encode(*blocking) + resp.encode("PING"))
        if wake:
            while b"cmd=" + blocking[0].lower().encode() not in other.ask("CLIENT", "LIST")[1]:
                pass
            other.ask(*wake)
        assert skipping.read() == ("+", "PONG")


def test_an_unblocked_client_stays_silent_after_reply_skip(redis_server):
    skipping, other = (resp.Connection(redis_server.port_of("redis")) for _ in range(2))
    for reason in ("ERROR", "TIMEOUT"):
        number = skipping.ask("CLIENT", "ID")[1]
        skipping.socket.sendall(resp.encode("CLIENT", "REPLY", "SKIP") + resp.encode("BLPOP", "skipped", 0))
        skipping.send("PING")
        while other.ask("CLIENT", "UNBLOCK", number, reason) == (":", 0):
            pass
        assert skipping.read() == ("+", "PONG")


def test_a_paused_command_stays_silent_after_reply_skip(launch):
    skipping = resp.Connection(launch("redis").port_of("redis"))
    for command in [("CLIENT", "PAUSE", 100), ("CLIENT", "REPLY", "SKIP"), ("SET", "a", "b"), ("PING",)]:
        skipping.send(*command)
    assert [skipping.read(), skipping.read()] == [("+", "OK"), ("+", "PONG")]


def test_errors_of_too_many_kinds_are_counted_together(launch):
    one = resp.Connection(launch("redis").port_of("redis"))
    for i in range(140):
        one.ask("EVAL", f"return redis.error_reply('CODE{i} is no code')", 0)
    text = one.ask("INFO", "errorstats")[1].decode()
    counts = dict(line.removeprefix("errorstat_").split(":count=") for line in text.split("\r\n") if "=" in line)
    assert counts["CODE127"] == "1" and "CODE128" not in counts
    assert counts["ERRORSTATS_OVERFLOW"] == "12"
    one.ask("SET", "a", "b", "NOSUCH")  # the server's own codes have room always
    assert b"errorstat_ERR:count=1\r\n" in one.ask("INFO", "errorstats")[1]


def test_lists_are_the_same_whatever_the_depth_of_their_compression(launch):
    server = launch("redis", **{"list-max-listpack-size": 10, "enable-debug-command": "yes"})
    one = resp.Connection(server.port_of("redis"))
    sizes, digests = [], []
    for depth in (0, 1, 3):
        one.ask("CONFIG", "SET", "list-compress-depth", depth)
        one.ask("DEL", "list")
        for i in range(0, 2000, 2):
            one.ask("RPUSH", "list", f"{i:>100}", f"{i + 1:>100}")
        one.ask("LINSERT", "list", "BEFORE", f"{1000:>100}", "between")
        one.ask("LSET", "list", 500, "x" * 9000)
        one.ask("LREM", "list", 0, f"{77:>100}")
        one.ask("LTRIM", "list", 15, -15)
        sizes.append(one.ask("MEMORY", "USAGE", "list", "SAMPLES", 0)[1])
        digests.append(one.ask("DEBUG", "DIGEST-VALUE", "list"))
        assert f"ql_listpack_max:10 ql_compressed:{int(depth > 0)}" in one.ask("DEBUG", "OBJECT", "list")[1]
        assert one.ask("LINDEX", "list", 60) == ("$", f"{75:>100}".encode())
    assert digests[0] == digests[1] == digests[2]
    assert sizes[0] > 2 * sizes[1] and sizes[0] > 2 * sizes[2]

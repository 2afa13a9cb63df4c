"""Settings do what they say, or are refused with the reason."""

import socket
import subprocess

import pytest
import redis
from harness.process import answers, exchange, free_port
from harness.trivet import binary


def client(server, **options):
    return redis.Redis(host=server.host, port=server.port_of("redis"), decode_responses=True, **options)


def test_maxclients_turns_away_who_comes_too_late(launch, eventually):
    server = launch("redis", maxclients=2, appendonly="no")
    first, second = client(server, single_connection_client=True), client(server, single_connection_client=True)
    assert first.ping() and second.ping()
    assert exchange(server.port_of("redis"), b"") == b"-ERR max number of clients reached\r\n"
    assert int(first.info("stats")["rejected_connections"]) == 1
    first.config_set("maxclients", 3)
    third = client(server, single_connection_client=True)
    assert third.ping()
    third.close()
    eventually(lambda: first.info("clients")["connected_clients"] == 2)
    assert client(server).ping()


def test_a_request_larger_than_the_query_buffer_ends_its_connection_only(launch):
    server = launch("redis", appendonly="no", **{"client-query-buffer-limit": "1mb"})
    with pytest.raises(redis.ConnectionError):
        client(server).set("k", "x" * 2_000_000)
    assert client(server).set("k", "x" * 900_000)
    assert client(server).strlen("k") == 900_000


def test_keepalive_is_set_on_connections(launch):
    """Seen from outside in the socket's timer."""
    server = launch("redis", appendonly="no", **{"tcp-keepalive": 77})
    port = server.port_of("redis")
    with socket.create_connection((server.host, port)) as conn:
        conn.sendall(b"PING\r\n")
        assert conn.recv(100) == b"+PONG\r\n"
        seen = open("/proc/net/tcp").read().splitlines()[1:]
        ours = [row.split() for row in seen if row.split()[1].endswith(f":{port:04X}") and row.split()[3] == "01"]
        assert ours and all(row[5].startswith("02:") for row in ours)  # 02 = the keepalive timer runs


def test_hz_can_change_and_follows_the_clients_only_when_asked(launch):
    r = client(launch("redis", hz=20, appendonly="no", **{"dynamic-hz": "no"}))
    assert (r.info("server")["hz"], r.info("server")["configured_hz"]) == (20, 20)


@pytest.mark.parametrize("level", ["debug", "verbose", "notice", "warning"])
def test_loglevel_knows_the_four_levels(launch, level):
    r = client(launch("redis", appendonly="no"))
    assert r.config_set("loglevel", level)
    assert r.config_get("loglevel") == {"loglevel": level}
    with pytest.raises(redis.ResponseError, match="must be one of the following"):
        r.config_set("loglevel", "loud")


REFUSED = {"aof-timestamp-enabled": "yes", "activerehashing": "no"}


def test_what_would_do_nothing_is_refused_and_still_answered(launch):
    r = client(launch("redis", appendonly="no"))
    for name, value in REFUSED.items():
        before = r.config_get(name)
        assert name in before
        with pytest.raises(redis.ResponseError, match="CONFIG SET failed"):
            r.config_set(name, value)
        assert r.config_get(name) == before
        assert r.config_set(name, before[name])


@pytest.mark.parametrize("name, value", [*REFUSED.items()])
def test_what_would_do_nothing_is_refused_at_the_start(name, value, tmp_path):
    command = [binary(), "--data", tmp_path, "--redis.port", "0", f"--redis.{name}", value]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode != 0 and name in done.stdout + done.stderr


def test_port_and_bind_can_change_while_the_server_runs(launch):
    server = launch("redis", appendonly="no")
    old, new, taken = server.port_of("redis"), free_port(), launch("redis", appendonly="no").port_of("redis")
    first = client(server)
    assert first.config_set("port", new)
    assert first.config_get("port") == {"port": str(new)} and first.info("server")["tcp_port"] == new
    assert first.ping()  # open connections stay
    assert answers(new, b"PING\r\n", b"+PONG") and not answers(old, b"PING\r\n", b"+PONG")
    with pytest.raises(redis.ResponseError, match="related to argument 'port'. - Unable to listen on this port"):
        first.execute_command("CONFIG", "SET", "maxmemory", 12345, "port", taken)
    assert first.config_get("maxmemory") == {"maxmemory": "0"} and first.config_get("port") == {"port": str(new)}
    assert answers(new, b"PING\r\n", b"+PONG")
    assert first.config_set("bind", "127.0.0.1 127.0.0.2 -192.0.2.1")
    assert exchange(new, b"PING\r\nQUIT\r\n", host="127.0.0.2") == b"+PONG\r\n+OK\r\n"
    with pytest.raises(redis.ResponseError, match="related to argument 'bind'. - Failed to bind"):
        first.config_set("bind", "127.0.0.2 192.0.2.1")
    assert answers(new, b"PING\r\n", b"+PONG")
    assert first.config_set("bind", "127.0.0.2")
    assert not answers(new, b"PING\r\n", b"+PONG")
    assert exchange(new, b"PING\r\nQUIT\r\n", host="127.0.0.2") == b"+PONG\r\n+OK\r\n"
    assert first.config_set("port", 0)
    with pytest.raises(OSError):
        exchange(new, b"PING\r\nQUIT\r\n", host="127.0.0.2")


def test_rewrite_of_the_configuration_needs_a_file(launch):
    with pytest.raises(redis.ResponseError, match="The server is running without a config file"):
        client(launch("redis", appendonly="no")).config_rewrite()


def test_bind_says_where_the_server_listens(launch):
    server = launch("redis", appendonly="no")
    assert client(server).config_get("bind") == {"bind": server.host}


def test_limits_of_unsent_output_are_kept_by_class(launch):
    one = client(launch("redis", appendonly="no"))
    name = "client-output-buffer-limit"
    assert one.config_get(name)[name] == "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
    assert one.config_set(name, "normal 1mb 2mb 60 replica 3mb 4mb 70")
    changed = "normal 1048576 2097152 60 slave 3145728 4194304 70 pubsub 33554432 8388608 60"
    assert one.config_get(name)[name] == changed
    for wrong in ("wrong number", "nosuch 1 1 1", "normal 1 1", "normal 1 1 1 pubsub 1x 1 1", "normal 1 1 -1", " "):
        with pytest.raises(redis.ResponseError, match="buffer limit configuration"):
            one.config_set(name, wrong)
    assert one.config_get(name)[name] == changed


@pytest.mark.parametrize("limit, channel", [("normal 100kb 0 0", None), ("pubsub 100kb 0 0", "c"), ("pubsub 0 100kb 0", "c")])
def test_who_does_not_read_is_closed_above_the_limit_of_its_class(launch, eventually, limit, channel):
    server = launch("redis", appendonly="no")
    one = client(server)
    one.config_set("client-output-buffer-limit", limit)
    one.set("key", "x" * 1_000_000)
    with socket.create_connection((server.host, server.port_of("redis"))) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        if channel:
            deaf.sendall(b"SUBSCRIBE c\r\n")
            eventually(lambda: one.pubsub_numsub(channel)[0][1] == 1)
            for _ in range(10):
                one.publish(channel, "x" * 1_000_000)
        else:
            deaf.sendall(b"GET key\r\n" * 20)
        eventually(lambda: one.info("stats")["client_output_buffer_limit_disconnections"] == 1)
    assert one.ping()


def test_a_query_above_its_limit_is_counted(launch, eventually):
    server = launch("redis", appendonly="no", **{"client-query-buffer-limit": "1mb"})
    assert exchange(server.port_of("redis"), b"*2\r\n$3\r\nGET\r\n$2000000\r\n" + b"x" * 1_500_000) == b""
    assert client(server).info("stats")["client_query_buffer_limit_disconnections"] == 1


def test_of_a_reply_above_the_limit_nothing_is_sent(launch):
    server = launch("redis", appendonly="no", **{"client-output-buffer-limit": "normal 100kb 0 0"})
    one = client(server)
    one.rpush("list", *("x" * 1000 for _ in range(150)))
    assert exchange(server.port_of("redis"), b"PING\r\nLRANGE list 0 -1\r\n") == b""
    assert exchange(server.port_of("redis"), b"MULTI\r\nLRANGE list 0 -1\r\nSET done 1\r\nEXEC\r\n") == b""
    assert one.get("done") == "1" and one.info("stats")["client_output_buffer_limit_disconnections"] == 2
    assert len(one.lrange("list", 0, 90)) == 91

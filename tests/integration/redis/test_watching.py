"""What a server tells of slow and large commands: COMMANDLOG beside SLOWLOG, LATENCY, latency-tracking, MEMORY."""

import re

import pytest
import redis
from wire import resp


@pytest.fixture
def w(launch):
    server = launch("redis", **{"enable-debug-command": "yes", "appendonly": "no"})
    return redis.Redis(host=server.host, port=server.port_of("redis"), decode_responses=True, protocol=3)


def ask(w, line):
    return w.execute_command(*line.split())


def test_large_requests_and_replies_are_logged(w):
    w.config_set("commandlog-request-larger-than", 200)
    w.config_set("commandlog-reply-larger-than", 200)
    w.set("small", "x")
    w.set("large", "x" * 300)
    w.get("small")
    with w.pipeline(transaction=False) as pipe:  # the way of pipelined commands is another
        pipe.get("large").get("small").set("large2", "y" * 500).execute()
    replies = ask(w, "COMMANDLOG GET -1 large-reply")
    w.config_set("commandlog-reply-larger-than", -1)  # what is read here is large as well
    requests = ask(w, "COMMANDLOG GET -1 large-request")
    assert [(entry[3][:2], entry[2] > 300) for entry in requests] == [(["SET", "large2"], True), (["SET", "large"], True)]
    assert [(entry[3], entry[2]) for entry in replies] == [(["GET", "large"], 308)]
    assert requests[1][3][2] == "x" * 128 + "... (172 more bytes)"
    assert [ask(w, f"COMMANDLOG LEN {kind}") for kind in ("large-request", "large-reply", "slow")] == [2, 1, 0]
    assert ask(w, "COMMANDLOG RESET large-request") == "OK"
    assert ask(w, "COMMANDLOG LEN large-request") == 0 and ask(w, "COMMANDLOG LEN large-reply") == 1


def test_each_log_has_its_length_and_can_be_off(w):
    w.config_set("commandlog-large-reply-max-len", 3)
    w.config_set("commandlog-reply-larger-than", 50)
    w.set("k", "x" * 100)
    for _ in range(10):
        w.get("k")
    assert ask(w, "COMMANDLOG LEN large-reply") == 3
    w.config_set("commandlog-reply-larger-than", -1)
    newest = ask(w, "COMMANDLOG GET 1 large-reply")[0][0]
    w.get("k")
    assert ask(w, "COMMANDLOG GET 1 large-reply")[0][0] == newest


def test_slow_ones_are_the_slow_log(w):
    w.config_set("slowlog-log-slower-than", 0)
    w.ping()
    w.config_set("commandlog-execution-slower-than", -1)
    assert w.config_get("slowlog-log-slower-than") == {"slowlog-log-slower-than": "-1"}
    entries = ask(w, "COMMANDLOG GET 10 slow")
    assert ["PING"] in [entry[3] for entry in entries]
    assert ask(w, "COMMANDLOG LEN slow") == ask(w, "SLOWLOG LEN") == len(entries)
    ask(w, "SLOWLOG RESET")
    assert ask(w, "COMMANDLOG LEN slow") == 0


def test_slow_events_are_kept_with_their_times(w):
    w.config_set("latency-monitor-threshold", 20)
    ask(w, "DEBUG SLEEP 0.03")
    (event, at, latest, worst), *_ = ask(w, "LATENCY LATEST")
    assert event == "command" and 20 <= latest <= worst
    assert ask(w, "LATENCY HISTORY command") == [[at, latest]]
    assert re.match(r"command - high \d+ ms, low \d+ ms \(all time high \d+ ms\)\n-{80}\n", ask(w, "LATENCY GRAPH command"))
    assert "1. command: 1 latency spikes" in ask(w, "LATENCY DOCTOR")
    assert ask(w, "LATENCY RESET nosuch") == 0 and ask(w, "LATENCY RESET command") == 1
    assert ask(w, "LATENCY LATEST") == []
    w.config_set("latency-monitor-threshold", 0)
    ask(w, "DEBUG SLEEP 0.03")
    assert ask(w, "LATENCY LATEST") == []


def test_histograms_count_every_command(w):
    ask(w, "SET k v")
    assert ask(w, "LATENCY HISTOGRAM set") == {}  # not tracked yet
    w.config_set("latency-tracking", "yes")
    with w.pipeline(transaction=False) as pipe:
        for _ in range(100):
            pipe.get("k")
        pipe.execute()
    ask(w, "CLIENT ID")
    found = ask(w, "LATENCY HISTOGRAM get client nosuch client|id")
    assert found["get"]["calls"] == 100
    assert list(found["get"]["histogram_usec"].values())[-1] == 100
    assert found["client|id"]["calls"] == 1
    lines = w.info("latencystats")
    assert set(lines["latency_percentiles_usec_get"]) == {"p50", "p99", "p99.9"}
    w.config_set("latency-tracking-info-percentiles", "0.0 99.99")
    assert w.config_get("latency-tracking-info-percentiles") == {"latency-tracking-info-percentiles": "0 99.99"}
    assert set(w.info("latencystats")["latency_percentiles_usec_get"]) == {"p0", "p99.99"}
    for wrong in ("50 x", "50 101", "-1", " ".join(["1"] * 33)):
        with pytest.raises(redis.ResponseError, match="CONFIG SET failed"):
            w.config_set("latency-tracking-info-percentiles", wrong)
    w.config_resetstat()
    assert "get" not in ask(w, "LATENCY HISTOGRAM")


def test_memory_is_accounted_for(w):
    empty = ask(w, "MEMORY STATS")
    with w.pipeline(transaction=False) as pipe:
        for n in range(20_000):
            pipe.set(f"key:{n}", "x" * 300)
        pipe.execute()
    full = ask(w, "MEMORY STATS")
    assert full["keys.count"] == 20_000 and 300 <= full["keys.bytes-per-key"] < 600
    assert full["dataset.bytes"] > empty["dataset.bytes"] + 20_000 * 300
    assert full["db.0"]["overhead.hashtable.main"] > 20_000 * 8
    assert full["overhead.total"] + full["dataset.bytes"] == full["total.allocated"]
    assert "complain" in ask(w, "MEMORY DOCTOR") or " * " in ask(w, "MEMORY DOCTOR")
    assert ask(w, "MEMORY PURGE") in ("OK", True)
    assert len(ask(w, "MEMORY MALLOC-STATS")) > 20


def test_info_tells_of_buffers_pauses_and_the_allocator(w):
    w.execute_command("CLIENT", "PAUSE", "20000", "WRITE")
    clients, memory = w.info("clients"), w.info("memory")
    assert clients["paused_actions"] == "write" and clients["paused_reason"] == "client_pause"
    assert 0 < clients["paused_timeout_milliseconds"] <= 20000
    w.execute_command("CLIENT", "UNPAUSE")
    assert w.info("clients")["paused_actions"] == "none"
    assert memory["used_memory_overhead"] + memory["used_memory_dataset"] == memory["used_memory"]
    assert memory["allocator_active"] >= memory["used_memory"] and memory["total_system_memory"] > 2**27


def test_info_tells_of_the_thread_its_turns_and_the_time_that_keys_cost(launch):
    with resp.Connection(launch("redis").port_of("redis")) as c:
        c.ask("SET", "k", "v")
        payload = c.ask("DUMP", "k")[1]
        assert c.ask("RESTORE", "l", 0, payload) == ("+", "OK")
        c.socket.sendall(resp.encode("INFO", "everything"))
        told = dict(line.split(":", 1) for line in c.read()[1].decode().splitlines() if ":" in line)
    assert told["dump_payload_sanitizations"] == "1" and told["current_eviction_exceeded_time"] == "0"
    assert float(told["used_cpu_user_main_thread"]) + float(told["used_cpu_sys_main_thread"]) > 0
    assert float(told["used_active_time_main_thread"]) > 0
    assert told["engines_count"] == "1" and told["engine_0"].startswith("name=LUA,module=built-in,abi_version=4,used_memory=")
    assert told["mem_overhead_db_hashtable_rehashing"] == "0" and told["mem_replication_backlog"] == "0"


def test_info_tells_how_long_memory_is_above_its_bound(launch, eventually):
    with resp.Connection(launch("redis").port_of("redis")) as c:
        def ms(name):
            return int(re.search(rf"{name}_eviction_exceeded_time:(\d+)", c.ask("INFO", "stats")[1].decode()).group(1))

        assert c.ask("CONFIG", "SET", "maxmemory", "1kb") == ("+", "OK")
        eventually(lambda: c.ask("SET", "k", "v")[0] == "-" and ms("current") > 0)
        assert c.ask("CONFIG", "SET", "maxmemory", "0") == ("+", "OK")
        c.ask("CONFIG", "SET", "maxmemory", "1gb")
        c.ask("SET", "k", "v")
        assert ms("total") > 0

"""MULTI, EXEC, DISCARD, WATCH."""

import threading

import pytest
from redis.exceptions import ExecAbortError, ResponseError, WatchError


def watch_then(r, other, change, *keys):
    """WATCHes, lets another client make the change, and says whether EXEC went through."""
    with r.pipeline() as pipe:
        pipe.watch(*keys)
        change(other)
        pipe.multi()
        pipe.ping()
        try:
            pipe.execute()
        except WatchError:
            return False
        return True


def test_exec_runs_all_and_returns_each_reply(r):
    with r.pipeline(transaction=True) as pipe:
        assert pipe.set("k", 1).incr("k").get("k").execute() == [True, 2, "2"]


def test_a_failing_command_does_not_stop_the_others(r):
    with r.pipeline(transaction=True) as pipe:
        replies = pipe.set("k", "text").incr("k").set("after", 1).execute(raise_on_error=False)
    assert isinstance(replies[1], ResponseError)
    assert r.get("after") == "1"


def test_a_command_refused_while_queueing_aborts_exec(r):
    conn = r.connection_pool.get_connection()
    try:
        for words, expected in ((["MULTI"], "OK"), (["SET", "k", "v"], "QUEUED")):
            conn.send_command(*words)
            assert str(conn.read_response()) == expected
        for words in (["GET"], ["NOSUCHCOMMAND"]):
            conn.send_command(*words)
            with pytest.raises(ResponseError):
                conn.read_response()
        conn.send_command("EXEC")
        with pytest.raises(ExecAbortError):
            conn.read_response()
    finally:
        r.connection_pool.release(conn)
    assert r.exists("k") == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda o: o.set("k", "2"),
        lambda o: o.set("k", "1"),
        lambda o: o.delete("k"),
        lambda o: o.expire("k", 100),
        lambda o: o.append("k", "x"),
        lambda o: o.rename("k", "k2"),
        lambda o: o.flushdb(),
        lambda o: o.flushall(),
        lambda o: o.swapdb(0, 1),
    ],
    ids=["set", "set-same", "del", "expire", "append", "rename", "flushdb", "flushall", "swapdb"],
)
def test_a_watched_key_that_changed_stops_exec(r, connect, change):
    r.set("k", "1")
    assert not watch_then(r, connect(), change, "k")


@pytest.mark.parametrize(
    "change",
    [
        lambda o: o.set("other", "2"),
        lambda o: o.get("k"),
        lambda o: o.delete("none"),
        lambda o: o.setnx("k", "2"),
        lambda o: o.ping(),
    ],
    ids=["another-key", "read", "del-none", "setnx-no-effect", "no-key"],
)
def test_what_leaves_the_watched_key_alone_lets_exec_through(r, connect, change):
    r.set("k", "1")
    assert watch_then(r, connect(), change, "k")


def test_a_watched_key_that_is_created_stops_exec(r, connect):
    assert not watch_then(r, connect(), lambda o: o.lpush("k", 1), "k")


def test_a_watched_key_that_expires_stops_exec(r, connect, eventually):
    r.set("k", "1", px=1500)

    def expire(other):
        eventually(lambda: other.exists("k") == 0)

    assert not watch_then(r, connect(), expire, "k")


def test_unwatch_and_discard_forget_the_keys(r, connect):
    r.set("k", "1")
    with r.pipeline() as pipe:
        pipe.watch("k")
        pipe.unwatch()
        connect().set("k", "2")
        pipe.multi()
        pipe.get("k")
        assert pipe.execute() == ["2"]


def test_nested_multi_watch_inside_and_exec_without_are_errors(r):
    conn = r.connection_pool.get_connection()

    def ask(*words):
        conn.send_command(*words)
        return conn.read_response()

    try:
        with pytest.raises(ResponseError, match="EXEC without MULTI"):
            ask("EXEC")
        with pytest.raises(ResponseError, match="DISCARD without MULTI"):
            ask("DISCARD")
        ask("MULTI")
        with pytest.raises(ResponseError, match="MULTI calls can not be nested|not allowed inside a transaction"):
            ask("MULTI")
        with pytest.raises(ResponseError, match="WATCH inside MULTI is not allowed|not allowed inside a transaction"):
            ask("WATCH", "k")
        ask("DISCARD")
    finally:
        r.connection_pool.release(conn)


def test_transactions_are_not_interleaved(r, connect):
    """Two counters that each transaction moves together are never seen apart by another client, who asks all the while: while
    commands are queued, while EXEC runs, and between the two commands of a script that does the same."""
    writer, over = connect(), threading.Event()

    def write():
        for n in range(300):
            with writer.pipeline(transaction=True) as pipe:
                pipe.incr("a")
                for k in range(n % 20):
                    pipe.ping(), pipe.set(f"between:{k}", "x" * 1000)
                pipe.incr("b").execute()
        over.set()

    thread = threading.Thread(target=write)
    thread.start()
    seen = set()
    while not over.is_set():
        a, b = r.mget("a", "b")
        assert a == b
        seen.add(a)
    thread.join()
    assert r.mget("a", "b") == ["300", "300"]
    assert len(seen) > 10, "the reader never looked while the writer was at it"

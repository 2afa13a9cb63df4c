"""Lists through redis-py, blocking pops among them."""

import threading

import pytest
from redis.exceptions import ResponseError


def blocked(r, count):
    """True when that many clients wait in a blocking command."""
    return r.info("clients")["blocked_clients"] == count


class Waiter(threading.Thread):
    """Calls f in a thread; `result` is what it returned or the exception it raised."""

    def __init__(self, f):
        super().__init__(daemon=True)
        self.f = f
        self.result = None
        self.start()

    def run(self):
        try:
            self.result = self.f()
        except Exception as error:  # the test looks at it
            self.result = error

    def value(self):
        self.join(20)
        assert not self.is_alive(), "still blocked"
        return self.result


def test_both_ends_push_and_pop(r):
    assert r.rpush("l", "b", "c") == 2
    assert r.lpush("l", "a", "z") == 4
    assert r.lrange("l", 0, -1) == ["z", "a", "b", "c"]
    assert r.lpop("l") == "z"
    assert r.rpop("l", 2) == ["c", "b"]
    assert r.lpushx("none", "x") == 0
    assert r.lpop("l", 0) == []
    assert r.lpop("none", 1) is None


def test_an_emptied_list_is_gone(r):
    r.rpush("l", "a")
    r.lpop("l")
    assert r.exists("l") == 0


def test_insert_set_remove_trim(r):
    r.rpush("l", *"abcabc")
    assert r.linsert("l", "before", "b", "X") == 7
    assert r.linsert("l", "after", "none", "X") == -1
    assert r.lset("l", -1, "Z")
    assert r.lrem("l", -1, "a") == 1
    assert r.lrange("l", 0, -1) == ["a", "X", "b", "c", "b", "Z"]
    r.ltrim("l", 1, -2)
    assert r.lrange("l", 0, -1) == ["X", "b", "c", "b"]
    with pytest.raises(ResponseError, match="index out of range"):
        r.lset("l", 10, "x")


def test_lpos_counts_ranks_from_either_end(r):
    r.rpush("l", *"abcdabcd")
    assert r.lpos("l", "b") == 1
    assert r.lpos("l", "b", rank=-1) == 5
    assert r.lpos("l", "b", count=0) == [1, 5]
    assert r.lpos("l", "b", rank=2, maxlen=3) is None
    with pytest.raises(ResponseError, match="RANK can't be zero"):
        r.lpos("l", "b", rank=0)


def test_moves_between_lists_and_within_one(r):
    r.rpush("l", *"abc")
    assert r.lmove("l", "m", "LEFT", "RIGHT") == "a"
    assert r.rpoplpush("l", "l") == "c"
    assert r.lrange("l", 0, -1) == ["c", "b"]
    assert r.lmpop(2, "none", "m", direction="LEFT", count=5) == ["m", ["a"]]


def test_encoding_turns_from_listpack_to_quicklist(r):
    r.rpush("l", *range(100))
    assert r.object("encoding", "l") == "listpack"
    r.rpush("l", "x" * 9000)
    assert r.object("encoding", "l") == "quicklist"


def test_blocked_pops_are_served_in_the_order_they_came(r3, connect, eventually):
    waiters = []
    for n in range(3):
        one = connect()
        waiters.append(Waiter(lambda one=one: one.blpop("l", 15)))
        eventually(lambda: blocked(r3, n + 1))
    r3.rpush("l", "first", "second", "third")
    assert [waiter.value() for waiter in waiters] == [["l", "first"], ["l", "second"], ["l", "third"]]


def test_a_blocked_pop_prefers_its_first_key(r3, connect, eventually):
    one = connect()
    waiter = Waiter(lambda: one.blpop(["a", "b"], 15))
    eventually(lambda: blocked(r3, 1))
    with r3.pipeline(transaction=True) as pipe:
        pipe.rpush("b", "from b").rpush("a", "from a").execute()
    assert waiter.value() == ["a", "from a"]
    assert r3.lrange("b", 0, -1) == ["from b"]


def test_a_key_deleted_within_the_transaction_serves_nobody(r3, connect, eventually):
    one = connect()
    waiter = Waiter(lambda: one.blpop("l", 15))
    eventually(lambda: blocked(r3, 1))
    with r3.pipeline(transaction=True) as pipe:
        pipe.rpush("l", "gone").delete("l").rpush("l", "stays").execute()
    assert waiter.value() == ["l", "stays"]


def test_blmove_chains_through_blocked_clients(r3, connect, eventually):
    first, second = connect(), connect()
    mover = Waiter(lambda: first.blmove("src", "dst", 15, "RIGHT", "LEFT"))
    eventually(lambda: blocked(r3, 1))
    popper = Waiter(lambda: second.brpop("dst", 15))
    eventually(lambda: blocked(r3, 2))
    r3.lpush("src", "x")
    assert mover.value() == "x"
    assert popper.value() == ["dst", "x"]
    assert r3.exists("src", "dst") == 0


def test_blmpop_and_brpoplpush_are_served(r3, connect, eventually):
    first, second = connect(), connect()
    waiter = Waiter(lambda: first.blmpop(15, 2, "a", "b", direction="RIGHT", count=2))
    eventually(lambda: blocked(r3, 1))
    r3.rpush("b", "1", "2", "3")
    assert waiter.value() == ["b", ["3", "2"]]
    waiter = Waiter(lambda: second.brpoplpush("c", "d", 15))
    eventually(lambda: blocked(r3, 1))
    r3.rpush("c", "v")
    assert waiter.value() == "v"
    assert r3.lrange("d", 0, -1) == ["v"]


def test_a_blocked_pop_times_out_with_nil(r):
    assert r.blpop("none", 0.05) is None
    assert r.blmpop(0.05, 1, "none", direction="LEFT") is None


def test_a_blocked_pop_ignores_a_key_of_another_type(r3, connect, eventually):
    one = connect()
    waiter = Waiter(lambda: one.blpop("k", 15))
    eventually(lambda: blocked(r3, 1))
    r3.set("k", "a string")
    assert blocked(r3, 1)
    r3.delete("k")
    r3.rpush("k", "v")
    assert waiter.value() == ["k", "v"]


def test_blocking_commands_do_not_block_inside_a_transaction(r):
    with r.pipeline(transaction=True) as pipe:
        pipe.blpop("none", 0)
        assert pipe.execute() == [None]


def test_a_client_that_leaves_while_blocked_takes_nothing(r3, connect, eventually):
    one = connect()
    one.connection_pool.get_connection()
    raw = one.connection_pool.make_connection()
    raw.connect()
    raw.send_command("BLPOP", "l", "0")
    eventually(lambda: blocked(r3, 1))
    raw.disconnect()
    eventually(lambda: blocked(r3, 0))
    r3.rpush("l", "v")
    assert r3.lrange("l", 0, -1) == ["v"]


def test_client_unblock_wakes_with_nil_or_an_error(r3, connect, eventually):
    one = connect(single_connection_client=True)
    number = one.client_id()
    waiter = Waiter(lambda: one.blpop("l", 0))
    eventually(lambda: blocked(r3, 1))
    assert r3.client_unblock(number) in (1, True)
    assert waiter.value() is None
    waiter = Waiter(lambda: one.blpop("l", 0))
    eventually(lambda: blocked(r3, 1))
    r3.client_unblock(number, error=True)
    assert "UNBLOCKED" in str(waiter.value())

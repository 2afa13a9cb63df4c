"""Publish and subscribe, in RESP2 and RESP3."""

import pytest
from redis.exceptions import ResponseError


def next_message(subscription, kind, seconds=10):
    message = subscription.get_message(timeout=seconds)
    assert message is not None, f"no {kind} came"
    assert message["type"] == kind, message
    return message


def test_messages_reach_channels_and_patterns(r, connect):
    sub = connect(protocol=r.connection_pool.connection_kwargs["protocol"]).pubsub()
    sub.subscribe("news", "other")
    sub.psubscribe("n*")
    assert [next_message(sub, "subscribe")["data"] for _ in range(2)] == [1, 2]
    assert next_message(sub, "psubscribe")["data"] == 3
    assert r.publish("news", "hello") == 2
    assert next_message(sub, "message")["data"] == "hello"
    message = next_message(sub, "pmessage")
    assert (message["pattern"], message["channel"], message["data"]) == ("n*", "news", "hello")
    assert r.publish("nobody listens", "x") == 1
    assert r.publish("silence", "x") == 0


def test_pubsub_counts_channels_and_patterns(r, connect):
    sub = connect().pubsub()
    sub.subscribe("a", "b")
    sub.psubscribe("p*")
    for kind in ("subscribe", "subscribe", "psubscribe"):
        next_message(sub, kind)
    assert set(r.pubsub_channels()) == {"a", "b"}
    assert r.pubsub_channels("a*") == ["a"]
    assert dict(r.pubsub_numsub("a", "none")) == {"a": 1, "none": 0}
    assert r.pubsub_numpat() == 1
    sub.unsubscribe()
    sub.punsubscribe()
    for kind in ("unsubscribe", "unsubscribe", "punsubscribe"):
        next_message(sub, kind)
    assert r.pubsub_channels() == [] and r.pubsub_numpat() == 0


def test_a_closed_subscriber_is_forgotten(r, connect, eventually):
    sub = connect().pubsub()
    sub.subscribe("a")
    next_message(sub, "subscribe")
    sub.close()
    eventually(lambda: r.publish("a", "x") == 0)


def test_resp2_subscribers_may_only_subscribe_ping_and_quit(connect):
    raw = connect(protocol=2).connection_pool.make_connection()
    raw.connect()
    raw.send_command("SUBSCRIBE", "a")
    assert raw.read_response() == ["subscribe", "a", 1]
    raw.send_command("PING", "hi", check_health=False)
    assert raw.read_response() == ["pong", "hi"]
    raw.send_command("GET", "k", check_health=False)
    with pytest.raises(ResponseError, match="only .*SUBSCRIBE.* allowed in this context"):
        raw.read_response()
    raw.disconnect()


def test_resp3_subscribers_may_run_any_command(r3, connect):
    sub = connect(protocol=3).pubsub()
    sub.subscribe("a")
    next_message(sub, "subscribe")
    sub.execute_command("SET", "k", "v")
    assert sub.connection.read_response() == "OK"
    r3.publish("a", "pushed")
    assert next_message(sub, "message")["data"] == "pushed"


def test_messages_keep_the_order_of_publication(r, connect):
    sub = connect().pubsub(ignore_subscribe_messages=True)
    sub.subscribe("a")
    while not r.pubsub_numsub("a")[0][1]:
        pass
    with r.pipeline(transaction=False) as pipe:
        for n in range(2000):
            pipe.publish("a", n)
        pipe.execute()
    got = []
    while len(got) < 2000:
        message = sub.get_message(timeout=60)
        if message is not None:
            got.append(int(message["data"]))
    assert got == list(range(2000))


def test_a_publication_in_a_transaction_goes_out_with_it(r, connect):
    sub = connect().pubsub()
    sub.subscribe("a")
    next_message(sub, "subscribe")
    with r.pipeline(transaction=True) as pipe:
        pipe.publish("a", "1").set("k", "v").publish("a", "2")
        assert pipe.execute() == [1, True, 1]
    assert [next_message(sub, "message")["data"] for _ in range(2)] == ["1", "2"]


@pytest.mark.parametrize("name", ["unsubscribe", "punsubscribe", "sunsubscribe"])
def test_who_is_subscribed_to_nothing_may_leave_it(r, name):
    """Clients do it when they close, and before they know."""
    connection = r.connection_pool.get_connection()
    for words, channel in (([name], None), ([name, "c"], "c")):
        connection.send_command(*words)
        assert connection.read_response(push_request=True) == [name, channel, 0]
    connection.send_command("PING")
    assert connection.read_response() == "PONG"
    r.connection_pool.release(connection)

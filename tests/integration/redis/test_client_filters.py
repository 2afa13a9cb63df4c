"""CLIENT LIST and CLIENT KILL choose clients by what they are and by what they are not, as in Valkey 9."""

import pytest
from wire import resp


@pytest.fixture
def three(redis_server):
    """Connections named a, b and c; b has database 5, c is subscribed."""
    opened = []
    for name in ("a", "b", "c"):
        one = resp.Connection(redis_server.port_of("redis"))
        one.ask("CLIENT", "SETNAME", name)
        one.ask("CLIENT", "SETINFO", "LIB-NAME", f"lib-{name}")
        opened.append(one)
    opened[1].ask("SELECT", "5")
    opened[2].ask("SUBSCRIBE", "channel")
    yield opened
    for one in opened:
        one.close()


def names(asking, *words):
    lines = asking.ask("CLIENT", "LIST", *words)[1].decode().splitlines()
    found = (dict(pair.split("=", 1) for pair in line.split(" "))["name"] for line in lines)
    return "".join(sorted(name for name in found if name in ("a", "b", "c")))


@pytest.mark.parametrize(
    "words, expected",
    [
        ("NAME a", "a"), ("NOT-NAME a", "bc"), ("DB 5", "b"), ("NOT-DB 5", "ac"), ("TYPE pubsub", "c"), ("NOT-TYPE pubsub", "ab"), ("TYPE replica", ""),
        ("FLAGS P", "c"), ("FLAGS N NOT-NAME b", "a"), ("NOT-FLAGS N", "c"), ("LIB-NAME lib-b", "b"), ("NOT-LIB-NAME lib-b", "ac"), ("USER default", "abc"),
        ("NOT-USER default", ""), ("IP 127.0.0.1", "abc"), ("NOT-IP 127.0.0.1", ""), ("IP 127.0.0.1 DB 5 NAME b", "b"), ("MAXAGE 100000", ""), ("IDLE 100000", ""),
        ("CAPA r", ""), ("NOT-CAPA r", "abc"), ("SKIPME yes", "bc"), ("SKIPME no NOT-NAME b", "ac"),
    ],
)  # fmt: skip
def test_a_list_has_those_that_pass(three, words, expected):
    assert names(three[0], *words.split()) == expected


def test_several_ids_may_be_named(three):
    ids = [three[i].ask("CLIENT", "ID")[1] for i in (0, 1)]
    assert names(three[0], "ID", *ids) == "ab"
    assert names(three[0], "NOT-ID", *ids) == "c"
    assert names(three[0], "ID", *ids, "NAME", "b") == "b"


@pytest.mark.parametrize(
    "words, error",
    [
        ("ID 0", "client-id should be greater than 0"), ("ID x", "syntax error"), ("FLAGS Z", "Unknown flags found in the provided filter: Z"),
        ("NOT-FLAGS Z", "Unknown flags found in the NOT-FLAGS filter: Z"), ("CAPA z", "Unknown capa found in the provided filter: z"),
        ("DB 16", "DB number should be between 0 and 15"), ("NOT-DB 16", "NOT-DB number should be between 0 and 15"), ("NOT-DB x", "NOT-DB is not an integer or out of range"), ("IDLE 0", "idle should be greater than 0"),
        ("NOT-IDLE 5", "syntax error"), ("NAME", "syntax error"), ("NOT-USER nosuch", "No such user 'nosuch'"), ("NOT-TYPE x", "Unknown client type 'x'"),
    ],
)  # fmt: skip
def test_a_wrong_filter_is_refused(three, words, error):
    for command in ("LIST", "KILL"):
        if command == "KILL" and len(words.split()) == 1:
            continue
        assert three[0].ask("CLIENT", command, *words.split()) == ("-", f"ERR {error}")


def test_those_that_pass_are_closed(three):
    assert three[0].ask("CLIENT", "KILL", "DB", "5", "NAME", "b") == (":", 1)
    with pytest.raises((ConnectionError, OSError)):
        three[1].ask("PING")
    assert three[0].ask("CLIENT", "KILL", "FLAGS", "P", "LIB-NAME", "lib-c", "SKIPME", "yes") == (":", 1)
    assert names(three[0], "NOT-NAME", "x") == "a"


def test_what_a_client_is_able_to_do_is_kept_and_chosen_by(three):
    assert three[0].ask("CLIENT", "CAPA", "redirect", "nosuch") == ("+", "OK")
    assert names(three[1], "CAPA", "r") == "a" and names(three[1], "NOT-CAPA", "r") == "bc"
    three[0].ask("RESET")
    assert b" capa=r " in three[0].ask("CLIENT", "INFO")[1]


def test_nothing_imports(three):
    assert three[0].ask("CLIENT", "IMPORT-SOURCE", "OFF") == ("+", "OK")
    assert three[0].ask("CLIENT", "IMPORT-SOURCE", "ON") == ("-", "ERR Server is not in import mode")

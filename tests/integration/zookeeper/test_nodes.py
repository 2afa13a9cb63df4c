"""Nodes through kazoo: their kinds, versions, children, access."""

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import (
    BadArgumentsError, BadVersionError, InvalidACLError, NoAuthError, NoChildrenForEphemeralsError, NodeExistsError,
    NoNodeError, NotEmptyError, RolledBackError, RuntimeInconsistency,
)  # fmt: skip
from kazoo.security import make_acl, make_digest_acl


def test_a_node_is_created_read_changed_and_deleted(zk):
    assert zk.create("/n", b"one") == "/n"
    data, stat = zk.get("/n")
    assert (data, stat.version, stat.dataLength, stat.numChildren, stat.ephemeralOwner) == (b"one", 0, 3, 0, 0)
    assert stat.czxid == stat.mzxid == stat.pzxid and stat.ctime == stat.mtime
    changed = zk.set("/n", b"three", version=0)
    assert changed.version == 1 and changed.mzxid > changed.czxid
    with pytest.raises(BadVersionError):
        zk.set("/n", b"x", version=0)
    with pytest.raises(BadVersionError):
        zk.delete("/n", version=0)
    zk.delete("/n", version=1)
    assert zk.exists("/n") is None


def test_missing_existing_and_full_nodes_are_refused(zk):
    zk.create("/n/child", b"", makepath=True)
    with pytest.raises(NodeExistsError):
        zk.create("/n")
    with pytest.raises(NoNodeError):
        zk.create("/none/child")
    with pytest.raises(NotEmptyError):
        zk.delete("/n")
    for call in (zk.get, zk.get_children, zk.delete, lambda path: zk.set(path, b""), zk.get_acls):
        with pytest.raises(NoNodeError):
            call("/none")


def test_empty_and_large_data_round_trip(zk):
    for data in (b"", bytes(range(256)) * 4000 + b"\0"[:0]):
        data = data[: 1_000_000]
        zk.create("/n", data)
        assert zk.get("/n")[0] == data
        zk.delete("/n")


def test_children_count_and_the_parents_versions_follow(zk):
    zk.create("/p")
    for name in "abc":
        zk.create(f"/p/{name}")
    zk.delete("/p/b")
    children, stat = zk.get_children("/p", include_data=True)
    assert sorted(children) == ["a", "c"]
    assert (stat.cversion, stat.numChildren, stat.version) == (4, 2, 0)
    before = stat.pzxid
    zk.set("/p/a", b"x")
    assert zk.exists("/p").pzxid == before


def test_sequence_names_count_every_child_ever_made(zk):
    zk.create("/s")
    assert zk.create("/s/n-", sequence=True) == "/s/n-0000000000"
    zk.create("/s/plain")
    assert zk.create("/s/n-", sequence=True) == "/s/n-0000000002"
    zk.delete("/s/n-0000000002")
    assert zk.create("/s/other-", sequence=True, ephemeral=True) == "/s/other-0000000003"
    assert zk.create("/s/", sequence=True) == "/s/0000000004"


def test_create2_returns_path_and_stat(zk):
    path, stat = zk.create("/n", b"abc", include_data=True)
    assert path == "/n" and stat.dataLength == 3


def test_ephemerals_have_an_owner_no_children_and_go_with_the_session(zk, connect, eventually):
    other = connect()
    other.create("/e", b"", ephemeral=True)
    assert zk.exists("/e").ephemeralOwner == other.client_id[0]
    with pytest.raises(NoChildrenForEphemeralsError):
        zk.create("/e/child")
    other.stop()
    eventually(lambda: zk.exists("/e") is None)


def test_ephemerals_of_a_client_that_vanished_go_when_its_session_expires(zk, raw, eventually, root):
    from wire import jute

    lost = raw(timeout=4000)
    assert lost.ask(jute.CREATE, jute.create(f"{root}/e", flags=jute.EPHEMERAL))[2] == 0
    lost.socket.close()
    assert zk.exists("/e") is not None
    eventually(lambda: zk.exists("/e") is None, 30)


def test_a_session_resumes_on_a_new_connection_with_its_password(zk, raw, root):
    from wire import jute

    first = raw(timeout=20_000)
    first.ask(jute.CREATE, jute.create(f"{root}/e", flags=jute.EPHEMERAL))
    first.socket.close()
    second = raw(timeout=20_000, session=first.session, password=first.password)
    assert second.session == first.session
    assert zk.exists("/e").ephemeralOwner == first.session
    assert second.ask(jute.CLOSE_SESSION)[2] == 0
    assert zk.exists("/e") is None


def test_a_wrong_password_or_unknown_session_is_told_expired(raw):
    first = raw()
    for session, password in ((first.session, b"wrong password!!"), (0x7F00_0000_1234_5678, bytes(16))):
        refused = raw(session=session, password=password)
        assert (refused.session, refused.timeout) == (0, 0)


def test_kazoo_itself_reconnects_and_keeps_its_session(connect, eventually):
    client = connect()
    before = client.client_id
    client.create("/e", b"", ephemeral=True)
    client._connection._socket.shutdown(2)
    eventually(lambda: client.connected and client.retry(client.exists, "/e"))
    assert client.client_id == before


def test_session_timeouts_are_clamped_to_two_and_twenty_ticks(raw):
    assert raw(timeout=1).timeout == 4000
    assert raw(timeout=10_000_000).timeout == 40_000
    assert raw(timeout=12_345).timeout == 12_345


def test_transactions_apply_whole_with_one_zxid(zk):
    zk.create("/n", b"")
    transaction = zk.transaction()
    transaction.check("/n", version=0)
    transaction.create("/a", b"1")
    transaction.create("/a/b-", b"2", sequence=True)
    transaction.set_data("/n", b"x")
    transaction.create("/gone")
    transaction.delete("/gone")
    results = transaction.commit()
    assert results[1:3] == ["/a", "/a/b-0000000000"] and results[3].version == 1
    assert zk.exists("/a").czxid == zk.exists("/n").mzxid == zk.exists("/a/b-0000000000").czxid
    assert zk.exists("/gone") is None


def test_a_transaction_that_fails_changes_nothing_and_says_where(zk):
    zk.create("/n", b"")
    transaction = zk.transaction()
    transaction.create("/a")
    transaction.check("/n", version=7)
    transaction.delete("/n")
    results = transaction.commit()
    assert [type(result) for result in results] == [RolledBackError, BadVersionError, RuntimeInconsistency]
    assert zk.exists("/a") is None and zk.exists("/n").version == 0


def test_digest_acls_admit_only_who_knows_the_password(zk, connect):
    zk.create("/secret", b"", acl=[make_digest_acl("user", "pass", all=True)])
    with pytest.raises(NoAuthError):
        zk.get("/secret")
    with pytest.raises(NoAuthError):
        zk.create("/secret/child")
    insider = connect(auth_data=[("digest", "user:pass")])
    assert insider.get("/secret")[0] == b""
    acls, stat = insider.get_acls("/secret")
    assert acls[0].id.scheme == "digest" and stat.aversion == 0
    assert insider.set_acls("/secret", [make_acl("world", "anyone", read=True)]).aversion == 1
    assert zk.get("/secret")[0] == b""
    with pytest.raises(NoAuthError):
        insider.set("/secret", b"x")
    zk.delete("/secret")


def test_unknown_and_empty_acls_are_invalid(zk):
    for acl in ([make_acl("nosuch", "x", all=True)], [make_acl("digest", "no colon", all=True)]):
        with pytest.raises(InvalidACLError):
            zk.create("/n", acl=acl)


def test_special_nodes_are_there_and_cannot_be_deleted(connect):
    bare = connect(chroot="")
    assert {"quota", "config"} <= set(bare.get_children("/zookeeper"))
    assert bare.get("/zookeeper/config")[0] is not None
    with pytest.raises((BadArgumentsError, NotEmptyError)):
        bare.delete("/zookeeper")
    with pytest.raises(BadArgumentsError):
        bare.delete("/")


def test_many_requests_in_flight_are_answered_in_order(zk):
    zk.create("/p")
    pending = [zk.create_async(f"/p/{n}", str(n).encode()) for n in range(1000)]
    pending += [zk.get_async(f"/p/{n}") for n in range(1000)]
    assert [one.get(30) for one in pending[:1000]] == [f"/p/{n}" for n in range(1000)]
    assert [one.get(30)[0] for one in pending[1000:]] == [str(n).encode() for n in range(1000)]


def test_sync_returns_the_path(zk):
    assert zk.sync("/") == "/"


def test_containers_stay_while_empty_from_birth_and_ttl_nodes_carry_no_owner(raw, root):
    from wire import jute

    one = raw()
    one.ask(jute.CREATE, jute.create(root))
    for op, body in (
        (jute.CREATE_CONTAINER, jute.create(f"{root}/c", flags=jute.CONTAINER)),
        (jute.CREATE_TTL, jute.create_ttl(f"{root}/t", flags=jute.TTL, ttl=100_000)),
    ):
        _, _, err, body = one.ask(op, body)
        reader = jute.Reader(body)
        assert err == 0 and reader.text().startswith(root) and reader.stat()["ephemeral_owner"] == 0
    for name in ("/c", "/t", ""):
        one.ask(jute.DELETE, jute.delete(root + name))


def test_read_only_clients_connect_to_a_writable_server(zookeeper_server):
    client = KazooClient(f"{zookeeper_server.host}:{zookeeper_server.port_of('zookeeper')}", read_only=True)
    client.start()
    assert client.client_state == "CONNECTED"
    client.stop()
    client.close()


def test_a_digest_with_a_nul_is_the_whole_identity(zk, connect):
    cut, whole = connect(auth_data=[("digest", "user:pass")]), connect(auth_data=[("digest", "us\x00er:pa\x00ss")])
    acl = make_digest_acl("us\x00er", "pa\x00ss", all=True)
    zk.create("/whole", b"", acl=[acl])
    assert whole.get("/whole")[0] == b""
    assert whole.get_acls("/whole")[0][0].id.id == acl.id.id
    for other in (cut, connect(auth_data=[("digest", "us:pa\x00ss")]), connect(auth_data=[("digest", "us\x00er:pa")])):
        with pytest.raises(NoAuthError):
            other.get("/whole")
    zk.delete("/whole")

"""Watches: which fire, once or always, and that an event precedes whatever reveals its cause."""

import threading

from kazoo.protocol.states import EventType
from kazoo.recipe.watchers import ChildrenWatch, DataWatch

from wire import jute

CREATED, DELETED, CHANGED, CHILDREN = 1, 2, 3, 4


class Heard:
    """A watcher that remembers, and can be waited for."""

    def __init__(self):
        self.events, self.changed = [], threading.Condition()

    def __call__(self, event):
        with self.changed:
            self.events.append((event.type, event.path))
            self.changed.notify_all()

    def wait(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.events) >= count, 20), self.events
        return self.events


def test_each_watch_fires_once_with_its_event(zk):
    for prepare, read, change, expected in (
        (None, zk.exists, lambda p: zk.create(p), EventType.CREATED),
        (zk.create, zk.get, lambda p: zk.set(p, b"x"), EventType.CHANGED),
        (zk.create, zk.exists, lambda p: zk.delete(p), EventType.DELETED),
        (zk.create, zk.get_children, lambda p: zk.create(p + "/c"), EventType.CHILD),
    ):
        heard = Heard()
        if prepare:
            prepare("/w")
        read("/w", watch=heard)
        change("/w")
        assert heard.wait(1) == [(expected, "/w")]
        if zk.exists("/w"):
            zk.set("/w", b"again")
        zk.sync("/")
        zk.delete("/w", recursive=True) if zk.exists("/w") else None
        assert heard.events == [(expected, "/w")]


def test_a_failed_read_leaves_no_watch_but_a_failed_exists_does(raw, root):
    one, two = raw(), raw()
    assert one.ask(jute.GET_DATA, jute.read(root, True))[2] == -101
    two.ask(jute.CREATE, jute.create(root))
    assert one.take_events() == []
    two.ask(jute.DELETE, jute.delete(root))
    assert one.ask(jute.EXISTS, jute.read(root, True))[2] == -101
    two.ask(jute.CREATE, jute.create(root))
    assert [(kind, path) for kind, _, path in one.take_events()] == [(CREATED, root)]


def test_the_event_comes_before_the_reply_that_shows_the_change(raw, root):
    watcher, writer = raw(), raw()
    writer.ask(jute.CREATE, jute.create(root, b"start"))
    for turn in range(200):
        watcher.ask(jute.GET_DATA, jute.read(root, True))
        assert watcher.events == []
        writer.send(jute.SET_DATA, jute.set_data(root, str(turn).encode()))
        while True:
            _, _, _, body = watcher.ask(jute.GET_DATA, jute.read(root))
            if jute.Reader(body).buffer() == str(turn).encode():
                break
        assert [(kind, path) for kind, _, path in watcher.events] == [(CHANGED, root)]
        watcher.events.clear()
        writer.read_reply()


def test_a_delete_tells_the_node_then_its_parent(raw, root):
    watcher, writer = raw(), raw()
    for path in (root, f"{root}/c"):
        writer.ask(jute.CREATE, jute.create(path))
    watcher.ask(jute.GET_CHILDREN, jute.read(root, True))
    watcher.ask(jute.GET_DATA, jute.read(f"{root}/c", True))
    watcher.ask(jute.GET_CHILDREN, jute.read(f"{root}/c", True))
    writer.ask(jute.DELETE, jute.delete(f"{root}/c"))
    assert [(kind, path) for kind, _, path in watcher.take_events()] == [(DELETED, f"{root}/c"), (CHILDREN, root)]


def test_a_transaction_that_fails_fires_nothing(raw, root):
    watcher, writer = raw(), raw()
    writer.ask(jute.CREATE, jute.create(root))
    watcher.ask(jute.GET_DATA, jute.read(root, True))
    writer.ask(
        jute.MULTI,
        jute.multi([(jute.SET_DATA, jute.set_data(root, b"x")), (jute.CHECK, jute.delete(f"{root}/none"))]),
    )
    assert watcher.take_events() == []


def test_persistent_watches_stay_and_recursive_ones_reach_below(raw, root):
    watcher, writer = raw(), raw()
    writer.ask(jute.CREATE, jute.create(root))
    assert watcher.ask(jute.ADD_WATCH, jute.watch(root, 0))[2] == 0
    below = raw()
    assert below.ask(jute.ADD_WATCH, jute.watch(root, 1))[2:] == (0, bytes(4))
    writer.ask(jute.SET_DATA, jute.set_data(root, b"1"))
    writer.ask(jute.CREATE, jute.create(f"{root}/c"))
    writer.ask(jute.CREATE, jute.create(f"{root}/c/d"))
    writer.ask(jute.SET_DATA, jute.set_data(root, b"2"))
    events = [(kind, path) for kind, _, path in watcher.take_events()]
    assert events == [(CHANGED, root), (CHILDREN, root), (CHANGED, root)]
    events = [(kind, path) for kind, _, path in below.take_events()]
    assert events == [(CHANGED, root), (CREATED, f"{root}/c"), (CREATED, f"{root}/c/d"), (CHANGED, root)]
    assert watcher.ask(jute.REMOVE_WATCHES, jute.watch(root, 3))[2] == 0
    writer.ask(jute.SET_DATA, jute.set_data(root, b"3"))
    assert [(kind, path) for kind, _, path in watcher.take_events() if kind != 7] == []


def test_removing_a_watch_that_is_not_there_says_so(raw, root):
    one = raw()
    one.ask(jute.CREATE, jute.create(root))
    assert one.ask(jute.REMOVE_WATCHES, jute.watch(root, 2))[2] == -121
    one.ask(jute.GET_DATA, jute.read(root, True))
    assert one.ask(jute.CHECK_WATCHES, jute.watch(root, 2))[2] == 0
    assert one.ask(jute.REMOVE_WATCHES, jute.watch(root, 2))[2] == 0
    assert one.ask(jute.CHECK_WATCHES, jute.watch(root, 2))[2] == -121


def test_set_watches_fires_at_once_what_was_missed(raw, root):
    writer = raw()
    for path in (root, f"{root}/data", f"{root}/parent", f"{root}/quiet"):
        writer.ask(jute.CREATE, jute.create(path))
    seen = writer.ask(jute.EXISTS, jute.read(root))[1]
    writer.ask(jute.SET_DATA, jute.set_data(f"{root}/data", b"x"))
    writer.ask(jute.CREATE, jute.create(f"{root}/parent/c"))
    writer.ask(jute.CREATE, jute.create(f"{root}/made"))
    late = raw()
    body = jute.set_watches(seen, [f"{root}/data", f"{root}/quiet", f"{root}/none"], [f"{root}/made"], [f"{root}/parent"])
    late.ask(jute.SET_WATCHES, body, xid=jute.SET_WATCHES_XID)
    assert {(kind, path) for kind, _, path in late.events} == {
        (CHANGED, f"{root}/data"), (CREATED, f"{root}/made"), (CHILDREN, f"{root}/parent"), (DELETED, f"{root}/none"),
    }  # fmt: skip
    late.events.clear()
    writer.ask(jute.SET_DATA, jute.set_data(f"{root}/quiet", b"x"))
    assert [(kind, path) for kind, _, path in late.take_events()] == [(CHANGED, f"{root}/quiet")]


def test_the_event_of_an_expired_or_closed_session_is_a_delete(raw, root):
    watcher, owner = raw(), raw()
    watcher.ask(jute.CREATE, jute.create(root))
    owner.ask(jute.CREATE, jute.create(f"{root}/e", flags=jute.EPHEMERAL))
    watcher.ask(jute.EXISTS, jute.read(f"{root}/e", True))
    watcher.ask(jute.GET_CHILDREN, jute.read(root, True))
    owner.end()
    watcher.ask(jute.SYNC, jute.text("/"))
    assert [(kind, path) for kind, _, path in watcher.take_events()] == [(DELETED, f"{root}/e"), (CHILDREN, root)]


def test_kazoos_data_and_children_watches_follow_every_change(zk, eventually):
    zk.create("/p")
    zk.create("/d", b"0")
    values, lists = [], []
    DataWatch(zk, "/d", lambda data, stat: values.append(data))
    ChildrenWatch(zk, "/p", lambda children: lists.append(sorted(children)))
    for n in range(1, 4):
        zk.set("/d", str(n).encode())
        eventually(lambda: values[-1] == str(n).encode())
        zk.create(f"/p/{n}")
        eventually(lambda: lists[-1] == [str(i) for i in range(1, n + 1)])
    zk.delete("/d")
    eventually(lambda: values[-1] is None)

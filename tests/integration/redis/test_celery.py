"""Celery with the server as broker and as result backend: the workers are processes of their own."""

import importlib
import os
import pathlib
import subprocess
import sys

import pytest

PYTHON_CLIENTS = pathlib.Path(__file__).resolve().parents[2] / "clients" / "python"
SECONDS = 60  # within which what waits for nothing is done, on any machine

pytest.importorskip("celery", reason="no Celery: run tools/install test")


class Worker:
    """Its threads take one message each; what it says is in `log`."""

    def __init__(self, log):
        self.log = log
        command = [sys.executable, "-m", "celery", "-A", "celery_tasks", "worker", "--pool", "threads", "--concurrency", "4"]
        command += ["--without-gossip", "--without-mingle", "--loglevel", "INFO"]
        with open(log, "ab") as out:
            self.process = subprocess.Popen(command, cwd=PYTHON_CLIENTS, env=os.environ, stdout=out, stderr=out)

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"a worker did not stop:\n{self.log.read_text()}") from None


@pytest.fixture
def tasks(redis_server, r3, monkeypatch):
    """The module of the tasks, whose broker is the server of this run."""
    monkeypatch.setenv("TRIVET_REDIS", f"redis://{redis_server.host}:{redis_server.port_of('redis')}/0")
    monkeypatch.syspath_prepend(PYTHON_CLIENTS)
    sys.modules.pop("celery_tasks", None)
    module = importlib.import_module("celery_tasks")
    yield module
    module.app.close()
    sys.modules.pop("celery_tasks", None)


@pytest.fixture
def start_worker(tasks, tmp_path):
    started = []

    def start():
        started.append(Worker(tmp_path / f"worker-{len(started)}.log"))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill9()


def check_results(tasks):
    assert tasks.add.delay(2, 3).get(SECONDS) == 5
    failed = tasks.fail.delay()
    with pytest.raises(ValueError, match="never"):
        failed.get(SECONDS)
    assert failed.state == "FAILURE"
    assert tasks.stubborn.delay(2).get(SECONDS) == 2
    with pytest.raises(Exception, match="Can't retry"):
        tasks.stubborn.delay(9).get(SECONDS)


def check_canvas(tasks):
    from celery import chain, chord, group

    assert chain(tasks.add.s(1, 2), tasks.add.s(4), tasks.add.s(8))().get(SECONDS) == 15
    assert group(tasks.add.s(n, n) for n in range(20))().get(SECONDS) == [2 * n for n in range(20)]
    assert chord((tasks.add.s(n, 1) for n in range(20)), tasks.total.s())().get(SECONDS) == sum(range(1, 21))
    nested = chord([chain(tasks.add.s(n, 1), tasks.add.s(10)) for n in range(3)], tasks.total.s())
    assert (nested | tasks.add.s(100))().get(SECONDS) == 136
    spoilt = chord([tasks.add.s(1, 1), tasks.fail.s()], tasks.total.s())()
    with pytest.raises(Exception, match="never"):
        spoilt.get(SECONDS)


def check_control(tasks):
    """Commands to the workers travel by pub/sub, their answers by lists; a task that is revoked is not run."""
    assert [list(reply.values()) for reply in tasks.app.control.ping(timeout=SECONDS, limit=1)] == [[{"ok": "pong"}]]
    revoked = tasks.note.s("revoked").set(countdown=0).freeze()
    tasks.app.control.broadcast("revoke", arguments={"task_id": revoked.id}, reply=True, limit=1, timeout=SECONDS)
    tasks.note.apply_async(("revoked",), task_id=revoked.id)
    tasks.note.apply_async(("later",), countdown=0.2).get(SECONDS)
    assert tasks.app.AsyncResult(revoked.id).state == "REVOKED"
    with tasks.side() as told:
        assert told.lrange("noted", 0, -1) == ["later"]


def test_a_worker_does_what_it_is_given(tasks, start_worker, r3):
    worker = start_worker()
    check_results(tasks)
    check_canvas(tasks)
    check_control(tasks)
    assert worker.stop() == 0, worker.log.read_text()
    assert r3.llen("celery") == 0 and r3.hlen("unacked") == 0
    assert r3.ttl(next(r3.scan_iter("celery-task-meta-*"))) > 0


def test_what_a_killed_worker_held_is_done_by_the_next(tasks, start_worker, r3, eventually, monkeypatch):
    monkeypatch.setenv("TRIVET_VISIBILITY_S", "1")
    first = start_worker()
    result = tasks.interrupted.delay("k")
    assert r3.blpop(["k:started"], SECONDS)[1] == result.id
    assert r3.hlen("unacked") == 1 and r3.zcard("unacked_index") == 1
    first.kill9()
    start_worker()
    assert result.get(SECONDS) == "done by the next"
    assert int(r3.get("k:runs")) >= 2  # more, when it did not say within a second that it was done
    eventually(lambda: r3.hlen("unacked") == 0)

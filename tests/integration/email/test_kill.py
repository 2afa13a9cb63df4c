"""The email service while its processes are killed with -9 at random moments and duplicates rain in.

In atomic mode on Trivet every accepted email is in the topic once and in the worker's ledger once. The same run in portable
mode on Debian's Redis and a real Kafka loses and doubles emails on the way into the topic, as its README says; what is in
the topic is in the ledger once there too. Both print their counts."""

import collections
import concurrent.futures
import itertools
import json
import random
import threading
import time

import pytest

from .programs import on_trivet

pytestmark = [pytest.mark.trivet_only, pytest.mark.timeout(7200)]
ROUNDS = {"trivet": 12, "originals": 4}
ROUNDS_SOAK = 200
VICTIMS = {"trivet": ("trivet", "worker", "trivet", "service"), "originals": ("redis", "worker", "kafka", "service")}
# The guard outlives the run and nothing is turned away, so that a second record of an email can only be a fault.
SETTINGS = {"EMAIL_ONCE_SECONDS": "7200", "EMAIL_LEASE_MS": "5000", "EMAIL_RATE_MAX": "1000"}


class Posters:
    """Threads that post email after email, each with a duplicate, and each until the service has accepted it."""

    THREADS = 6
    PAUSE_SECONDS = 0.04  # a little less than what one worker sends

    def __init__(self, p):
        self.p = p
        self.stopped = threading.Event()
        self.accepted = {}  # by recipient, the ids that the service named
        self.interrupted = 0  # requests that a kill cut off or turned away
        self.pool = concurrent.futures.ThreadPoolExecutor(self.THREADS)
        self.running = [self.pool.submit(self.run, thread) for thread in range(self.THREADS)]

    def run(self, thread):
        for number in itertools.count():
            if self.stopped.is_set():
                return
            to = f"reader{thread}.{number}@example.com"
            self.accepted[to] = {self.post(to), self.post(to)}
            time.sleep(self.PAUSE_SECONDS)

    def post(self, to):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            answer = self.p.post(to=to)
            if answer.status in (200, 202):
                return answer.document["id"]
            assert answer.status in (0, 503), answer
            self.interrupted += 1
            time.sleep(0.02)
        raise AssertionError(f"the email to {to} was not accepted within 60 s")

    def stop(self):
        self.stopped.set()
        for one in self.running:
            one.result()
        self.pool.shutdown()


def kill(p, victim, chance):
    """Kills it and starts it again. Of the two workers one has the topic's partition; either is hit."""
    if victim in p.servers:
        p.servers[victim].restart(kill=True)
        return
    name = chance.choice(("worker", "second")) if victim == "worker" else victim
    p.kill(name)
    p.launch(name, f"email-{victim}")


def kill_rounds(p, victims, rounds, chance):
    """Posts and kills, each victim equally often; what was killed how often. A worker is killed while mails go out: after a
    death the group first misses the dead one for some seconds, and killing meanwhile would show nothing."""
    kills = collections.Counter()
    for turn in range(rounds):
        if turn % len(victims) == 0:
            order = chance.sample(victims, len(victims))
        victim = order[turn % len(victims)]
        if victim == "worker":
            sent = p.redis("LLEN", "email:ledger")
            p.wait_for(lambda sent=sent: p.redis("LLEN", "email:ledger") > sent)
        time.sleep(chance.uniform(0.1, 0.8))
        kill(p, victim, chance)
        kills[victim] += 1
    time.sleep(0.5)
    return kills


def run(p, victims, rounds):
    """Posts and kills, then waits until all that is in the topic is in the ledger: the posters, the kills, the records."""
    p.launch("second", "email-worker")
    posters = Posters(p)
    kills = kill_rounds(p, victims, rounds, random.Random(20))
    posters.stop()
    assert posters.interrupted >= rounds // 2, "the kills hit nothing"
    p.wait_for(lambda: p.ask("GET", "/healthz").status == 200)
    queued = {json.loads(record.value())["id"] for record in p.records("emails")}
    p.wait_for(lambda: p.redis("LLEN", "email:ledger") >= len(queued), seconds=900)
    time.sleep(1)  # for what should not come
    return posters, kills, [json.loads(record.value()) for record in p.records("emails")]


def count(p, posters, records):
    """How the emails fared. `lost` and `doubled` are about recipients: each was written to once, whatever the ids."""
    written = collections.Counter(record["to"] for record in records)
    return {
        "accepted": len(posters.accepted),
        "lost": len(posters.accepted.keys() - written.keys()),
        "doubled": sum(times > 1 for times in written.values()),
        "mailed": len(p.mailed_ids()),
        "mailed again": sum(mail["again"] for mail in p.mails()),
        "interrupted": posters.interrupted,
    }


def tell(capsys, what, kills, counts):
    with capsys.disabled():
        print(f"\n{what}: {sum(kills.values())} kills {dict(kills)}, {counts}")


def rounds_of(request, servers):
    return ROUNDS_SOAK if request.config.getoption("--soak") else ROUNDS[servers]


def test_kill_9_in_atomic_mode_loses_and_doubles_nothing(programs, request, capsys):
    p = programs("atomic", on_trivet(), **SETTINGS)
    posters, kills, records = run(p, VICTIMS["trivet"], rounds_of(request, "trivet"))
    counts = count(p, posters, records)
    tell(capsys, "atomic on Trivet", kills, counts)
    assert all(len(ids) == 1 for ids in posters.accepted.values()), "a duplicate did not get the first id"
    ids = sorted(next(iter(found)) for found in posters.accepted.values())
    assert sorted(record["id"] for record in records) == ids
    assert sorted(p.ledger()) == ids
    assert sorted(p.mailed_ids()) == ids
    # A worker that dies between the sink's 250 and its own note sends the same Message-ID once more: see the README.
    assert counts["mailed again"] <= kills["worker"]


def test_kill_9_in_portable_mode_on_the_originals_is_counted(programs, all_originals, request, capsys):
    p = programs("portable", all_originals, **SETTINGS)
    posters, kills, records = run(p, VICTIMS["originals"], rounds_of(request, "originals"))
    counts = count(p, posters, records)
    tell(capsys, "portable on Redis and Kafka", kills, counts)
    queued = sorted({record["id"] for record in records})
    assert sorted(p.ledger()) == queued
    assert sorted(p.mailed_ids()) == queued
    assert counts["lost"] < counts["accepted"], "nothing arrived at all"
    assert counts["mailed again"] <= kills["worker"]

"""The tasks of test_celery.py, for its workers and for itself. The broker's address is in TRIVET_REDIS."""

import os

import redis
from celery import Celery

URL = os.environ["TRIVET_REDIS"]
app = Celery("tasks", broker=URL, backend=URL)
app.conf.update(
    broker_connection_retry_on_startup=True,
    # How long a message may lie with a worker before it is given to another, which workers look for every second.
    broker_transport_options={
        "visibility_timeout": int(os.environ.get("TRIVET_VISIBILITY_S", 3600)),
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    },
    result_expires=3600,
    task_send_sent_event=True,
    worker_send_task_events=True,
    worker_prefetch_multiplier=1,
)


def side():
    """What tasks tell the test, past Celery."""
    return redis.Redis.from_url(URL, decode_responses=True)


@app.task
def add(a, b):
    return a + b


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def fail():
    raise ValueError("never")


@app.task
def note(name):
    return side().rpush("noted", name)


@app.task(bind=True, max_retries=3)
def stubborn(self, failures):
    if self.request.retries < failures:
        raise self.retry(countdown=0)
    return self.request.retries


@app.task(bind=True, acks_late=True)
def interrupted(self, key):
    """The first time it hangs until its worker is killed."""
    with side() as told:
        if told.incr(f"{key}:runs") == 1:
            told.lpush(f"{key}:started", self.request.id)
            told.blpop(f"{key}:never")
    return "done by the next"

"""RQ with its jobs, registries, results and schedules on the server. Its workers run here, until their queues are empty."""

import datetime
import signal

import pytest

pytest.importorskip("rq", reason="no RQ: run tools/install test")

from rq import Callback, Queue, Repeat, Retry, SimpleWorker, Worker  # noqa: E402
from rq.exceptions import InvalidJobOperation, NoSuchJobError  # noqa: E402
from rq.group import Group  # noqa: E402
from rq.job import Job, JobStatus  # noqa: E402
from rq.registry import StartedJobRegistry  # noqa: E402
from rq.scheduler import RQScheduler  # noqa: E402

PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)


def add(a, b):
    return a + b


def fail():
    raise ValueError("never")


def count_up(key):
    """Fails until it has been called three times."""
    from rq import get_current_job

    job = get_current_job()
    if job.connection.incr(key) < 3:
        raise ValueError("not yet")
    return int(job.connection.get(key))


def told(job, connection, result):
    connection.rpush("told", f"{job.id}:{result}")


@pytest.fixture
def connection(connect, r3):
    """RQ keeps bytes."""
    return connect(decode_responses=False)


@pytest.fixture
def queue(connection):
    return Queue("work", connection=connection)


@pytest.fixture
def work(queue):
    """Workers take the signals of their process; they are given back."""
    taken = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run():
        SimpleWorker([queue], connection=queue.connection).work(burst=True, logging_level="ERROR")

    yield run
    for number, handler in taken.items():
        signal.signal(number, handler)


def test_jobs_are_done_in_order_and_their_results_kept(queue, work, connection):
    jobs = [queue.enqueue(add, n, 1, job_id=f"job-{n}", on_success=Callback(told)) for n in range(20)]
    urgent = queue.enqueue(add, 100, 1, at_front=True, job_id="urgent", on_success=Callback(told))
    assert queue.count == 21 and queue.job_ids[:2] == ["urgent", "job-0"]
    work()
    assert [job.return_value() for job in jobs] == list(range(1, 21)) and urgent.return_value() == 101
    assert connection.lrange("told", 0, 1) == [b"urgent:101", b"job-0:1"]
    assert queue.count == 0 and len(queue.finished_job_registry) == 21
    assert jobs[0].latest_result().type.name == "SUCCESSFUL"
    assert 0 < connection.ttl(jobs[0].key) <= 500
    jobs[0].delete()
    with pytest.raises(NoSuchJobError):
        Job.fetch("job-0", connection=connection)


def test_what_fails_goes_to_the_registry_and_can_be_asked_for_again(queue, work):
    job = queue.enqueue(fail)
    work()
    assert job.get_status() is JobStatus.FAILED and "never" in job.latest_result().exc_string
    registry = queue.failed_job_registry
    assert registry.get_job_ids() == [job.id]
    registry.requeue(job.id)
    assert queue.job_ids == [job.id] and len(registry) == 0
    work()
    assert len(registry) == 1 and len(job.results()) == 2
    registry.remove(job, delete_job=True)
    assert not Job.exists(job.id, connection=queue.connection)


def test_retries_follow_at_once_or_when_the_scheduler_says(queue, work):
    at_once = queue.enqueue(count_up, "at once", retry=Retry(max=2))
    hopeless = queue.enqueue(fail, retry=Retry(max=2))
    later = queue.enqueue(count_up, "later", retry=Retry(max=2, interval=3600))
    work()
    assert at_once.return_value() == 3 and hopeless.get_status() is JobStatus.FAILED
    assert later.get_status() is JobStatus.SCHEDULED
    assert queue.scheduled_job_registry.get_job_ids() == [later.id]
    assert queue.scheduled_job_registry.get_scheduled_time(later) > datetime.datetime.now(datetime.timezone.utc)


def test_the_scheduler_enqueues_what_is_due_under_its_lock(queue, work, connection):
    due = queue.enqueue_at(PAST, add, 1, 2)
    not_due = queue.enqueue_in(datetime.timedelta(hours=1), add, 3, 4)
    scheduler = RQScheduler([queue], connection=connection)
    assert scheduler.acquire_locks() == {"work"}
    assert RQScheduler([queue], connection=connection).acquire_locks() == set()
    scheduler.enqueue_scheduled_jobs()
    assert queue.job_ids == [due.id] and queue.scheduled_job_registry.get_job_ids() == [not_due.id]
    scheduler.release_locks()
    assert RQScheduler([queue], connection=connection).acquire_locks() == {"work"}
    work()
    assert due.return_value() == 3
    queue.scheduled_job_registry.remove(not_due)
    assert len(queue.scheduled_job_registry) == 0


def test_a_job_that_repeats_is_scheduled_anew(queue, work):
    job = queue.enqueue(add, 1, 1, repeat=Repeat(times=2, interval=3600))
    work()
    assert job.return_value() == 2 and queue.scheduled_job_registry.get_job_ids() == [job.id]


def test_dependents_wait_for_what_they_depend_on(queue, work):
    first = queue.enqueue(add, 1, 1)
    second = queue.enqueue(add, 2, 2, depends_on=first)
    both = queue.enqueue(add, 3, 3, depends_on=[first, second])
    never = queue.enqueue(add, 4, 4, depends_on=queue.enqueue(fail))
    assert set(queue.deferred_job_registry.get_job_ids()) == {second.id, both.id, never.id}
    work()
    assert both.return_value() == 6 and never.get_status() is JobStatus.DEFERRED
    assert queue.deferred_job_registry.get_job_ids() == [never.id]


def test_jobs_can_be_cancelled_and_groups_hold_several(queue, work, connection):
    group = Group.create(connection=connection)
    jobs = group.enqueue_many(queue, [Queue.prepare_data(add, (n, n)) for n in range(3)])
    jobs[1].cancel()
    with pytest.raises(InvalidJobOperation):
        jobs[1].cancel()
    work()
    assert [job.return_value() for job in jobs] == [0, None, 4]
    assert queue.canceled_job_registry.get_job_ids() == [jobs[1].id]
    assert {job.id for job in group.get_jobs()} == {job.id for job in jobs}


def test_what_a_lost_worker_held_is_failed_by_the_maintenance(queue, connection):
    job = queue.enqueue(add, 1, 1)
    lost = SimpleWorker([queue], connection=connection, name="lost")
    lost.register_birth()
    taken, _ = lost.dequeue_job_and_maintain_ttl(timeout=None)
    lost.prepare_execution(taken)
    lost.prepare_job_execution(taken, remove_from_intermediate_queue=True)
    registry = StartedJobRegistry(queue=queue)
    assert registry.get_job_ids() == [job.id] and Worker.count(connection=connection) == 1
    for member in connection.zrange(registry.key, 0, -1):
        connection.zadd(registry.key, {member: 1})
    registry.cleanup()
    assert job.get_status(refresh=True) is JobStatus.FAILED and queue.failed_job_registry.get_job_ids() == [job.id]
    lost.register_death()
    assert Worker.count(connection=connection) == 0

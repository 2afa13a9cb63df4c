"""The email service of examples/email, from the request to the mail."""

import concurrent.futures
import json
import time

import pytest

pytestmark = pytest.mark.trivet_only
both_modes = pytest.mark.parametrize("mode", ["atomic", "portable"])


@both_modes
def test_one_mail_for_each_accepted_request_and_the_first_id_for_duplicates(programs, mode):
    p = programs(mode)
    first = p.post()
    again = [p.post() for _ in range(3)]
    other = p.post(body="Hello again")
    assert first.status == other.status == 202
    assert [(answer.status, answer.document["id"]) for answer in again] == [(200, first.document["id"])] * 3
    ids = [first.document["id"], other.document["id"]]
    assert ids[0] != ids[1]
    p.wait_for(lambda: all(p.status_of(one) == "sent" for one in ids))
    assert p.mailed_ids() == ids and not any(mail["again"] for mail in p.mails())
    assert [json.loads(record.value())["id"] for record in p.records("emails")] == ids
    assert sorted(p.ledger()) == sorted(ids)
    p.wait_for(lambda: p.redis("KAFKA.COMMITTED", "email-worker", "emails", 0) == 2)
    assert 'email_http_responses_total{code="202"} 2' in p.ask("GET", "/metrics").document


@both_modes
def test_concurrent_duplicates_make_one_mail(programs, mode):
    p = programs(mode)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: p.post(), range(48)))
    assert sorted(answer.status for answer in answers) == [200] * 47 + [202]
    assert len({answer.document["id"] for answer in answers}) == 1
    p.wait_for(lambda: p.status_of(answers[0].document["id"]) == "sent")
    assert len(p.mails()) == len(p.records("emails")) == 1


@both_modes
def test_the_guard_ends_with_its_time(programs, mode):
    p = programs(mode, EMAIL_ONCE_SECONDS="1")
    first = p.post()
    time.sleep(1.2)
    second = p.post()
    assert (first.status, second.status) == (202, 202) and first.document["id"] != second.document["id"]


@both_modes
def test_an_idempotency_key_decides_what_is_the_same(programs, mode):
    p = programs(mode)
    first = p.post(headers={"Idempotency-Key": "a"})
    same = p.post(body="other words", headers={"Idempotency-Key": "a"})
    other = p.post(headers={"Idempotency-Key": "b"})
    assert (first.status, same.status, other.status) == (202, 200, 202)
    assert first.document["id"] == same.document["id"] != other.document["id"]


def test_what_is_wrong_is_named(programs):
    p = programs("atomic")
    cases = [
        ({"to": "nobody"}, "to"), ({"to": "a@b@c"}, "to"), ({"to": "a b@c"}, "to"), ({"to": "a@b\r\nRCPT TO:<c@d>"}, "to"),
        ({"to": 7}, "to"), ({"to": "a@" + "b" * 300}, "to"), ({"subject": ""}, "subject"),
        ({"subject": "a\r\nBcc: c@d"}, "subject"), ({"subject": None}, "subject"), ({"body": ["x"]}, "body"),
    ]  # fmt: skip
    for change, field in cases:
        answer = p.post(**change)
        assert (answer.status, answer.document["field"]) == (400, field), change
    for text in ["", "{", "[]", '{"to": "a@b"', "\xff"]:
        assert p.ask("POST", "/emails", text.encode("latin-1")).status == 400, text
    missing = p.ask("POST", "/emails", json.dumps({"to": "a@b.c", "body": ""}))
    assert (missing.status, missing.document["field"]) == (400, "subject")
    assert p.post(body="x" * 70_000).status == 413
    assert p.ask("GET", "/emails/" + "0" * 32).status == 404
    assert p.ask("GET", "/nowhere").status == 404
    refused = p.ask("DELETE", "/emails")
    assert (refused.status, refused.headers["Allow"]) == (405, "POST")
    assert not p.mails()


@both_modes
def test_the_rate_limit_is_a_sliding_window_of_each_recipient(programs, mode):
    p = programs(mode, EMAIL_RATE_MAX="3", EMAIL_RATE_WINDOW_SECONDS="6")
    assert p.post(to="bob@example.com").status == 202  # the topic is there now, so that what follows is quick
    assert [p.post(body=str(i)).status for i in range(2)] == [202, 202]
    time.sleep(1)
    assert [p.post(body=str(i)).status for i in range(2, 5)] == [202, 429, 429]
    limited = p.post(body="3")
    assert 0 < limited.document["retry_after_ms"] <= 5000 and int(limited.headers["Retry-After"]) >= 1
    assert p.post(to="bob@example.com", subject="another").status == 202
    time.sleep(limited.document["retry_after_ms"] / 1000 + 0.1)
    assert p.post(body="3").status == 202  # the first two have left the window; what was refused left no guard


@both_modes
def test_temporary_refusals_are_tried_again_and_final_ones_parked(programs, mode):
    p = programs(mode)
    later, refused = p.post(to="later@example.com").document["id"], p.post(to="refuse@example.com").document["id"]
    p.wait_for(lambda: p.status_of(later) == "sent" and p.status_of(refused) == "failed")
    assert p.ask("GET", f"/emails/{later}").document["attempts"] == 2
    (parked,) = p.records("emails.dead")
    assert json.loads(parked.value())["id"] == refused
    assert b"550" in dict(parked.headers())["reason"]
    assert p.mailed_ids() == [later]


@both_modes
def test_poison_is_parked_once_and_stops_nobody(programs, mode):
    p = programs(mode)
    for value in (b"no email", b"", b'{"id":"x"}'):
        p.produce("emails", value)
    good = p.post().document["id"]
    p.wait_for(lambda: p.status_of(good) == "sent")
    assert [record.value() or b"" for record in p.records("emails.dead")] == [b"no email", b"", b'{"id":"x"}']


@both_modes
def test_attempts_that_run_out_end_in_the_dead_letter_topic(programs, mode):
    p = programs(mode)
    p.kill("sink")
    email = p.post().document["id"]
    p.wait_for(lambda: p.status_of(email) == "failed")
    assert p.ask("GET", f"/emails/{email}").document["attempts"] == 3
    assert [json.loads(record.value())["id"] for record in p.records("emails.dead")] == [email]


@both_modes
def test_a_backend_that_is_away_is_503_until_it_is_back(programs, mode):
    p = programs(mode)
    p.servers["trivet"].kill9()
    assert p.post().status == 503 and p.ask("GET", "/healthz").status == 503
    p.servers["trivet"].start()
    p.wait_for(lambda: p.ask("GET", "/healthz").status == 200)
    answer = p.post()
    assert answer.status == 202
    p.wait_for(lambda: p.status_of(answer.document["id"]) == "sent")


def test_another_worker_becomes_the_housekeeper(programs):
    p = programs("atomic")

    def elections():
        return (p.data / "programs.log").read_text().count("is the housekeeper now")

    p.wait_for(lambda: elections() == 1)
    p.launch("second", "email-worker")
    time.sleep(1)
    assert elections() == 1
    p.kill("worker")
    p.wait_for(lambda: elections() == 2)
    email = p.post(to="later@example.com").document["id"]
    p.wait_for(lambda: p.status_of(email) == "sent")

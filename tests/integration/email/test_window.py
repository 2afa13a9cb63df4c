"""The window of portable mode in which an email is doubled: its record arrives, and the acknowledgement does not."""

import json

import pytest
from harness import process, trivet

from .lossy import LossyProxy

pytestmark = pytest.mark.trivet_only


@pytest.fixture
def lossy():
    with LossyProxy(process.free_port()) as proxy:
        yield proxy


def behind(proxy):
    """Trivet as a broker that clients reach through the proxy alone."""
    address = f"PLAINTEXT://{process.HOST}:{proxy.port}"
    return {"trivet": trivet.Trivet({"kafka": {"port": proxy.broker_port, "advertised.listeners": address}})}


def test_a_lost_acknowledgement_doubles_the_email_and_each_is_sent_once(programs, lossy):
    p = programs("portable", behind(lossy), KAFKA_BROKERS=f"{process.HOST}:{lossy.port}")
    assert p.post(body="the topic is there now").status == 202
    lossy.loses = True
    assert p.post().status == 503
    lossy.heal()
    first = json.loads(p.records("emails")[1].value())["id"]
    p.wait_for(lambda: first in p.ledger())
    assert p.status_of(first) == "sent", "the service took back what the worker had noted"
    retried = p.post()
    second = retried.document["id"]
    assert retried.status == 202 and second != first
    p.wait_for(lambda: p.status_of(second) == "sent")
    assert [json.loads(record.value())["id"] for record in p.records("emails")][1:] == [first, second]
    assert sorted(p.ledger()) == sorted(p.mailed_ids()) and len(p.ledger()) == 3

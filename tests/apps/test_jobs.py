"""Prompts wait in turn; downloads are kept once."""

import pytest
from keras_grow.app.jobs import Jobs

pytestmark = pytest.mark.no_backend


def test_prompts_are_before_each_other_until_they_end():
    jobs = Jobs()
    jobs.begin("ann")
    jobs.begin("bob")
    assert jobs.before("bob") == 1
    first = jobs.take("ann")
    jobs.end("ann")
    assert jobs.before("ann") is None
    assert jobs.before("bob") == 0
    assert not first.is_set()


def test_a_stop_reaches_what_runs_or_waits_and_nothing_later():
    jobs = Jobs()
    for waits in (True, False):
        jobs.begin("ann")
        running = None if waits else jobs.take("ann")
        jobs.stop("ann")
        assert (running or jobs.take("ann")).is_set()
        jobs.end("ann")
    jobs.begin("ann")
    assert not jobs.take("ann").is_set()


def test_a_visitor_who_leaves_is_not_waited_for():
    jobs = Jobs()
    jobs.begin("ann")
    running = jobs.take("ann")
    jobs.begin("bob")
    jobs.begin("cid")
    jobs.leave("ann")
    jobs.leave("bob")
    assert running.is_set()
    assert jobs.before("cid") == 1
    jobs.end("ann")
    assert jobs.before("cid") == 0

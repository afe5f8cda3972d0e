"""What is done by itself, how often, and when it is taken back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actors.doctor.diagnosis import diagnose
from actors.doctor.healing import Action, Advice, Healer, Limits
from actors.doctor.messages import Diagnosis, TaskSnapshot
from config.resources import TaskBacklog
from tests.actors.doctor.test_diagnosis import four
from tests.actors.doctor.ward import Member, Play

AUTO = TaskSnapshot("t", batch_rows=500, most_rows=500, wanted_rows=500, backlog=TaskBacklog(heal="auto"))


def overloaded() -> Diagnosis:
    return four(750.0, readers=1).run(60.0)


def healthy() -> Diagnosis:
    return four(1.0, readers=1).run(60.0)


def test_more_runners_up_to_what_is_allowed() -> None:
    """As many as the remedy says, but never more than `max_runners`, nor when nothing would change."""
    diagnosis = overloaded()
    action = Healer().decide(0.0, diagnosis, AUTO)
    assert isinstance(action, Action)
    assert (action.kind, action.before, action.after) == ("set_runners", 1, 4)
    assert action.reason.startswith("slow_consumers: ")
    capped = replace(AUTO, backlog=TaskBacklog(heal="auto", max_runners=2))
    action = Healer().decide(0.0, diagnosis, capped)
    assert isinstance(action, Action)
    assert action.after == 2
    assert Healer().decide(0.0, diagnosis, replace(capped, runners=2)) is None


def test_larger_batches_only_where_they_are_allowed() -> None:
    """Without `max_batch` transactions stay as they are; with it they grow as far as it says."""
    play = Play([15_000.0], {"t-0": Member((0,), speed=10_000.0)}, replace(AUTO))
    play.start()
    diagnosis = play.run(60.0)
    assert Healer().decide(0.0, diagnosis, AUTO) is None
    allowed = replace(AUTO, backlog=TaskBacklog(heal="auto", max_batch=800))
    action = Healer().decide(0.0, diagnosis, allowed)
    assert isinstance(action, Action)
    assert (action.kind, action.before, action.after) == ("set_batch", 500, 800)


@pytest.mark.parametrize("diagnosis", [overloaded, healthy])
def test_off_does_nothing(diagnosis: object) -> None:
    """Neither advice nor action."""
    off = replace(AUTO, backlog=TaskBacklog(heal="off"))
    assert Healer().decide(0.0, diagnosis(), off) is None  # type: ignore[operator]


def test_advice_is_given_once_and_nothing_done() -> None:
    """The same advice is not repeated while the lag lasts; it is given anew when it comes back."""
    healer, advise = Healer(), replace(AUTO, backlog=TaskBacklog(heal="advise"))
    advice = healer.decide(0.0, overloaded(), advise)
    assert isinstance(advice, Advice)
    assert "4 runners instead of 1" in advice.text
    assert healer.decide(5.0, overloaded(), advise) is None
    assert healer.decide(10.0, healthy(), advise) is None
    assert isinstance(healer.decide(15.0, overloaded(), advise), Advice)


def test_a_budget_is_never_passed() -> None:
    """However long it lags: at most so many actions within any window, one told refusal, and time to settle between."""
    limits = Limits(actions=3, window=600.0, settle=30.0)
    healer, diagnosis = Healer(limits), overloaded()
    decisions = [(now, healer.decide(float(now), diagnosis, AUTO)) for now in range(0, 1800, 5)]
    done = [now for now, one in decisions if isinstance(one, Action)]
    assert done == [0, 30, 60, 600, 630, 660, 1200, 1230, 1260]
    assert sum(isinstance(one, Advice) for _, one in decisions) == 3


def test_what_was_done_is_taken_back_once_it_is_calm() -> None:
    """Runners and rows go back to what is written, one after the other, after a minute without anything late."""
    healer, raised = Healer(), replace(AUTO, runners=4, most_rows=800)
    assert healer.decide(0.0, healthy(), raised) is None
    healer.decide(30.0, overloaded(), raised)
    assert healer.decide(35.0, healthy(), raised) is None
    assert healer.decide(90.0, healthy(), raised) is None
    back = healer.decide(95.0, healthy(), raised)
    assert isinstance(back, Action)
    assert (back.kind, back.before, back.after, back.back) == ("set_runners", 4, 1, True)
    back = healer.decide(100.0, healthy(), replace(raised, runners=1))
    assert isinstance(back, Action)
    assert (back.kind, back.after) == ("set_batch", 500)
    assert healer.decide(105.0, healthy(), AUTO) is None


def test_only_what_is_harmless_is_done() -> None:
    """A key skew costs order to heal, and a sink that is down needs a person: nothing is done by itself."""
    skewed = four(100.0, readers=4)
    skewed.rates[2] = 3000.0
    assert Healer().decide(0.0, skewed.run(60.0), replace(AUTO, runners=4)) is None
    held = four(100.0, readers=1)
    held.members["t-0"].stands_since = held.now
    held.task = replace(AUTO, holding="down")
    assert Healer().decide(0.0, held.run(60.0), held.task) is None


def test_a_stuck_member_is_restarted() -> None:
    """The member that stands is named in the action."""
    play = four(100.0, readers=2)
    play.members["t-1"].stands_since = play.now
    play.run(60.0)
    action = Healer().decide(0.0, diagnose(play.history), replace(AUTO, runners=2))
    assert isinstance(action, Action)
    assert (action.kind, action.member) == ("restart_member", "t-1")


def test_a_lag_that_goes_is_left_alone() -> None:
    """What drains by itself needs nothing."""
    play = four(750.0, readers=1)
    play.run(60.0)
    play.rates = [0.0] * 4
    assert play.run(40.0).verdict == "draining"
    assert Healer().decide(0.0, replace(play.run(5.0), causes=overloaded().causes), AUTO) is None

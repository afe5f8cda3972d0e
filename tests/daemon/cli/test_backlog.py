"""`penstock backlog` as somebody reads it at night, and `penstock audit`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec

from daemon.cli.backlog_page import page
from tests.daemon.cli.conftest import Penstock
from tests.daemon.cli.fake import FakeControl
from tests.daemon.control.test_backlog import ENTRY, FOUND

GROUP: dict[str, Any] = msgspec.to_builtins(FOUND)
CALM: dict[str, Any] = msgspec.to_builtins(replace(FOUND, group="calm", verdict="healthy", lag=0, causes=()))


def test_the_page_says_who_why_and_what_to_do(penstock: Penstock, control: FakeControl) -> None:
    """Plain words first, figures after; commands stand alone on their lines, whole."""
    control.on("GET", "backlog", {"groups": [GROUP, CALM]})
    ended = penstock("backlog")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0] == "1 of 2 groups lag."
    assert lines[2] == "g <- t   GROWING"
    why = next(i for i, line in enumerate(lines) if "Why (1): consumers are too slow." in line)
    assert "Do: Let 4 runners work. Then all is done in about 60 seconds. (harmless)" in lines[why + 2]
    assert lines[why + 1].strip() == "Consumers are too slow."
    assert lines[why + 3].strip() == "penstock ..."
    assert "Figures: 1000 messages, of unknown size, oldest 12 seconds;" in ended.out
    assert "no end in sight" in ended.out
    assert "calm keeps up with t" in lines[-1]


def test_one_group_or_topic_is_picked(penstock: Penstock, control: FakeControl) -> None:
    """A name is a topic's or a group's; one that is neither is refused."""
    control.on("GET", "backlog", {"groups": [GROUP, CALM]})
    assert len(json.loads(penstock("backlog", "t", "-o", "json").out)["groups"]) == 2
    (one,) = json.loads(penstock("backlog", "calm", "-o", "json").out)["groups"]
    assert one["group"] == "calm"
    ended = penstock("backlog", "nix")
    assert ended.code == 1
    assert "no group is named nix" in ended.err


def test_a_quiet_night() -> None:
    """Nobody lags, or nobody is there: said in one line."""
    assert next(page([CALM], detailed=False)) == "All is well: the group does not lag."
    assert next(page([CALM, CALM], detailed=False)) == "All is well: none of 2 groups lags."
    assert list(page([CALM | {"produce_rate": 0, "consume_rate": 0}], detailed=False))[-1] == (
        "  calm keeps up with t (nothing comes)"
    )
    assert list(page([], detailed=False)) == ["There are no groups yet: nobody consumes anything."]


def test_what_drains_without_a_cause_is_explained() -> None:
    """A group that catches up has no cause, and the page says why it lags all the same."""
    draining = GROUP | {"verdict": "draining", "causes": [], "drain_seconds": 7200.0}
    text = "\n".join(page([draining], detailed=True))
    assert "nothing is wrong now" in text
    assert "gone in 2 hours" in text


def test_the_page_says_what_the_policy_does_to_producers() -> None:
    """Whoever is called because devices are held back sees that it is meant, since when, why, and what happens then."""
    idle = {"action": "throttle", "limit": "{messages: 8000}", "state": "open", "since": 0.0, "reason": ""}
    idle |= {"divert_to": None, "refused": 0, "diverted": 0, "dropped": 0}
    acting = idle | {"reason": "group g lags 9000 messages of 8000"}
    cases = [
        (idle, "The policy of topic t rests: past {messages: 8000} it would hold producers back."),
        (
            acting,
            "Producers of t are held back since 1970-01-01 00:00:00Z, because group g lags 9000 messages of 8000;",
        ),
        (acting | {"action": "reject", "refused": 1}, "are refused since 1970-01-01 00:00:00Z, because"),
        (acting | {"action": "reject", "refused": 1}, "of 8000: 1 record so far."),
        (acting | {"action": "divert", "divert_to": "u", "diverted": 7}, "New records of t go to u since"),
        (acting | {"action": "divert", "divert_to": "u", "diverted": 7}, "`penstock topic bring-home t`"),
        (acting | {"action": "drop_oldest", "dropped": 7}, "are dropped unread, because group g lags"),
    ]
    for policy, expected in cases:
        text = " ".join(" ".join(page([GROUP | {"policy": policy}], detailed=True)).split())
        assert expected in text


def test_the_page_is_as_wide_as_the_terminal() -> None:
    """Lines are folded by words; only commands, which are there to be copied, are left whole."""
    long = {"text": "word " * 60, "commands": ["penstock " + "x" * 150]}
    cause = GROUP["causes"][0]
    wordy = GROUP | {"causes": [cause | {"remedies": [cause["remedies"][0] | long]}]}
    for width in (60, 80, 100):
        lines = list(page([wordy], detailed=False, width=width))
        folded = [line for line in lines if "penstock" not in line]
        assert width - 10 < max(map(len, folded)) <= width
        assert f"      penstock {'x' * 150}" in lines


def test_the_audit_log_as_a_table(penstock: Penstock, control: FakeControl) -> None:
    """Time in UTC, what, before, after, outcome, reason."""
    control.on("GET", "audit?limit=20", {"entries": [msgspec.to_builtins(ENTRY)]})
    out = penstock("audit").out
    assert "1970-01-01 00:00:01Z" in out
    assert "set_runners" in out
    assert json.loads(penstock("audit", "-o", "json").out)["entries"][0]["after"] == "4"

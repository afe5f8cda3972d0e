"""What authorizers decided: read strictly, kept within bounds."""

from __future__ import annotations

from typing import Any

import pytest

from actors.gateway_route.auth import decisions
from actors.gateway_route.auth.decisions import Decisions, UnusableDecisionError, decision_of


def test_a_decision_is_allow_or_deny_with_a_context() -> None:
    """A context that is left out is empty; callers of the same key and context have the same mark."""
    allowed = decision_of({"status": "allow", "context": {"user": "ada"}}, b"key")
    assert (allowed.allowed, allowed.context) == (True, {"user": "ada"})
    assert decision_of({"status": "deny"}, b"key")[:2] == (False, {})
    assert allowed.mark == decision_of({"status": "allow", "context": {"user": "ada"}, "more": 1}, b"key").mark
    others = (
        decision_of({"status": "allow", "context": {"user": "bob"}}, b"key"),
        decision_of({"status": "allow"}, b"k"),
    )
    assert allowed.mark not in {one.mark for one in others}


@pytest.mark.parametrize(
    "answer",
    [None, "allow", True, [], {}, {"status": "ALLOW"}, {"status": True}, {"status": ["allow"]}, {"context": {}},
     {"status": "allow", "context": "x"}, {"status": "allow", "context": {"x": "x" * 16 * 1024}}],
)  # fmt: skip
def test_anything_else_is_no_decision(answer: Any) -> None:
    """What is not understood lets nobody in."""
    with pytest.raises(UnusableDecisionError):
        decision_of(answer, b"key")


def test_a_decision_holds_for_its_time() -> None:
    """And not a moment longer."""
    kept = Decisions(60)
    decision = decision_of({"status": "deny"}, b"a")
    kept.keep(b"a", decision, 100.0)
    assert kept.find(b"a", 159.9) is decision
    assert kept.find(b"a", 160.0) is None
    assert len(kept) == 0


def test_decisions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """In number and in bytes; those asked for least recently go first."""
    monkeypatch.setattr(decisions, "_MAX_ENTRIES", 2)
    kept, decision = Decisions(60), decision_of({"status": "allow"}, b"")
    for key in (b"a", b"b"):
        kept.keep(key, decision, 0.0)
    kept.find(b"a", 1.0)
    kept.keep(b"c", decision, 1.0)
    assert [kept.find(key, 1.0) is not None for key in (b"a", b"b", b"c")] == [True, False, True]
    monkeypatch.setattr(decisions, "_MAX_BYTES", 500)
    kept.keep(b"d", decision, 1.0)
    assert len(kept) == 1
    kept.clear()
    kept.keep(b"e", decision, 1.0)
    assert len(kept) == 1

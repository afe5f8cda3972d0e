"""Laws of what functions may answer to the gateway: whatever it is, the answer can be sent, or is refused."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.gateway_route.auth.decisions import UnusableDecisionError, decision_of
from actors.gateway_route.functions.answers import UnusableAnswerError, response_of
from actors.wire.http.responses import response_head

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["X-A", "content-type", "Content-Length", "Date", "x-request-id"]) | st.text(max_size=8)
WHOLE = st.fixed_dictionaries(
    {"status": st.integers(-1, 700) | VALUES},
    optional={
        "headers": st.dictionaries(NAMES, st.text(max_size=12) | VALUES, max_size=3) | VALUES,
        "body": VALUES,
        "base64": st.booleans() | VALUES,
    },
)


@given(WHOLE | VALUES)
def test_what_a_function_answers_can_be_sent_or_is_refused(value: Any) -> None:
    """No other error, no head that is more than its own lines, no status that callers do not know."""
    try:
        response = response_of(value)
    except UnusableAnswerError:
        return
    assert 200 <= response.status <= 599
    assert isinstance(response.body, bytes)
    length = len(response.body)
    head = response_head(
        response.status, response.headers, length=length, keep_alive=True, http_1_0=False, date="Sun, 22 Nov 2026"
    )
    framing = response.status not in {204, 304}
    assert head.count(b"\r\n") == len(response.headers) + 3 + framing
    assert head.count(b"\n") == head.count(b"\r") == head.count(b"\r\n")


@given(
    st.fixed_dictionaries({"status": st.sampled_from(["allow", "deny"]) | VALUES}, optional={"context": VALUES})
    | VALUES
)
def test_an_authorizer_decides_or_is_refused(answer: Any) -> None:
    """Only the word `allow` lets anybody in."""
    try:
        decision = decision_of(answer, b"key")
    except UnusableDecisionError:
        return
    assert decision.allowed == (answer["status"] == "allow")
    assert decision.context == (answer.get("context") or {})

"""What functions answer, as answers of HTTP."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.gateway_route.functions.answers import UnusableAnswerError, response_of

JSON = ("Content-Type", "application/json")
TEXT = ("Content-Type", "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    "value", [None, True, 7, "free", [1, 2], {"lot": 7}, {"status": 1}, {"status": "open"}, {"status": 200, "lot": 1}]
)
def test_any_json_value_is_a_body(value: Any) -> None:
    """What is no whole answer is sent as JSON with status 200, also what only happens to have a `status`."""
    response = response_of(value)
    assert (response.status, response.headers) == (200, (JSON,))
    assert msgspec.json.decode(response.body) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"status": 204}, (204, (), b"")),
        ({"status": 201, "body": "made"}, (201, (TEXT,), b"made")),
        ({"status": 201, "body": {"id": 1}}, (201, (JSON,), b'{"id":1}')),
        (
            {"status": 200, "body": "AAE=", "base64": True},
            (200, (("Content-Type", "application/octet-stream"),), b"\0\1"),
        ),
        (
            {"status": 302, "headers": {"Location": "/x", "Set-Cookie": ["a=1", "b=2"], "X-Left": 3}},
            (302, (("Location", "/x"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Left", "3")), b""),
        ),
        (
            {"status": 200, "headers": {"content-type": "text/csv"}, "body": "a,b"},
            (200, (("content-type", "text/csv"),), b"a,b"),
        ),
    ],
)
def test_a_whole_answer_has_status_headers_and_body(value: Any, expected: tuple[Any, ...]) -> None:
    """Text is sent as it is, base64 decoded, anything else as JSON, under the type that the function names."""
    response = response_of(value)
    assert (response.status, response.headers, response.body) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"status": 600}, "status 600"),
        ({"status": 101}, "status 101"),
        ({"status": 204, "body": "x"}, "has no body"),
        ({"status": 200, "headers": {"X": "a\r\nSet-Cookie: b=1"}}, "cannot be sent"),
        ({"status": 200, "headers": {"X\r\nY": "a"}}, "cannot be sent"),
        ({"status": 200, "headers": {"Content-Length": "5"}}, "cannot be sent"),
        ({"status": 200, "headers": {"X": "€"}}, "cannot be sent"),
        ({"status": 200, "headers": {"X": {"a": 1}}}, "neither text nor a number"),
        ({"status": 200, "headers": {"X": True}}, "neither text nor a number"),
        ({"status": 200, "headers": ["X"]}, "no object"),
        ({"status": 200, "headers": {"X-Request-ID": "1"}}, "set by the gateway itself"),
        ({"status": 200, "base64": True, "body": "?"}, "no base64"),
        ({"status": 200, "base64": True, "body": {}}, "no text"),
        ({"status": 200, "base64": 1, "body": ""}, "neither true nor false"),
    ],
)
def test_what_cannot_be_sent_is_refused(value: Any, reason: str) -> None:
    """A header cannot break out of its line, frame the answer, or take the gateway's own place."""
    with pytest.raises(UnusableAnswerError, match=reason):
        response_of(value)


def test_an_answer_without_headers_keeps_those_there_were() -> None:
    """All but the type of the body, which has changed."""
    kept = (("X-A", "1"), ("Content-Type", "text/html"))
    assert response_of({"status": 200, "body": "x"}, headers=kept).headers == (TEXT, ("X-A", "1"))
    assert response_of({"status": 200, "headers": {}}, headers=kept).headers == ()

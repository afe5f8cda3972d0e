"""Headers that a route sets, adds and takes away."""

from __future__ import annotations

import pytest

from actors.errors import ConfigurationError
from actors.gateway_route.call import Call
from actors.gateway_route.mapping.headers import HeaderChanges
from actors.wire.http.messages import HeaderFields, Request, Response

CALL = Call(Request("GET", "/"))
ANSWER: HeaderFields = (("Content-Type", "text/plain"), ("Link", "<a>"), ("Server", "x"), ("server", "y"))


def test_what_is_set_takes_the_place_of_what_was_there() -> None:
    """However the backend spells it, and however often; what is added stays beside it; null takes all away."""
    changes = HeaderChanges({"content-type": "text/html", "Link": ("<b>", "<c>"), "SERVER": None, "X-New": "1"})
    response = changes(CALL, Response(201, ANSWER, b"x"))
    assert (response.status, response.body) == (201, b"x")
    assert response.headers == (
        ("Link", "<a>"), ("content-type", "text/html"), ("Link", "<b>"), ("Link", "<c>"), ("X-New", "1"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-A", "a\r\nb: c"), ("X A", "a"), ("Connection", None), ("Content-Length", "1"), ("X-Request-Id", "1")],
)
def test_what_cannot_be_sent_is_not_served(name: str, value: str | None) -> None:
    """Also where it was not refused when it was written."""
    with pytest.raises(ConfigurationError, match="response_headers"):
        HeaderChanges({name: value})

"""Calls as functions see them."""

from __future__ import annotations

import pytest

from actors.gateway_route.call import Call, Caller
from actors.gateway_route.functions.requests import header_fields, hidden_headers, query_fields, request_data
from actors.http_calls.errors import CallRefusedError
from actors.wire.http.messages import Request
from config.resources import Auth, MockBackend, Route, RouteBackend, RouteRequest


def route(auth: object) -> Route:
    request = RouteRequest(path="/x")
    return Route(name="r", app="a", request=request, backend=RouteBackend(mock=MockBackend()), auth=auth)


def test_a_function_gets_the_whole_request() -> None:
    """Method, path, parameters, query, headers in lower case, body, caller and what is said of it."""
    request = Request("POST", "/lots/7", "a=1&b=2&b=3", [("x-a", "1"), ("x-a", "2")], b"", "1.2.3.4")
    caller = Caller("jwt", "ada", None, {"sub": "ada"})
    call = Call(request, "id", "TEST", caller=caller, path={"lot": "7"}, parameters={"lot": 7}, body=b"text")
    assert request_data(call, "r", ()) == {
        "method": "POST",
        "path": "/lots/7",
        "path_parameters": {"lot": "7"},
        "query": {"a": "1", "b": ["2", "3"]},
        "headers": {"x-a": "1, 2"},
        "body": "text",
        "base64": False,
        "parameters": {"lot": 7},
        "caller": {"kind": "jwt", "name": "ada", "app": None},
        "authorizer": {"sub": "ada"},
        "source_address": "1.2.3.4",
        "route": "r",
        "stage": "TEST",
        "request_id": "id",
    }


def test_a_body_that_is_no_text_comes_as_base64() -> None:
    """And says so."""
    data = request_data(Call(Request("POST", "/"), body=b"\xff\x00"), "r", ())
    assert (data["body"], data["base64"]) == ("/wA=", True)


def test_cookies_stay_one_cookie_header() -> None:
    """RFC 6265 5.4 has them joined by semicolons."""
    assert header_fields([("cookie", "a=1"), ("cookie", "b=2")]) == {"cookie": "a=1; b=2"}


def test_credentials_that_the_gateway_checks_are_for_nobody_else() -> None:
    """A function behind app or user authentication sees none of them; one that does the checking itself sees all."""
    sent = [
        ("authorization", "Basic x"),
        ("x-apig-appcode", "c"),
        ("x-hw-appkey", "s"),
        ("x-auth-token", "t"),
        ("x", "1"),
    ]
    for auth in ("app", "iam", Auth(iam=True), Auth(app=("basic",))):
        assert header_fields(sent, hidden_headers(route(auth))) == {"x": "1"}
    for auth in ("none", Auth(custom="gate")):
        assert header_fields(sent, hidden_headers(route(auth))) == dict(sent)


@pytest.mark.parametrize("query", ["a=%ff", "&".join(f"a{n}=1" for n in range(1001))])
def test_a_query_that_cannot_be_read_is_refused(query: str) -> None:
    """With 400, as everywhere in the gateway."""
    with pytest.raises(CallRefusedError) as refused:
        query_fields(query)
    assert refused.value.error.status == 400

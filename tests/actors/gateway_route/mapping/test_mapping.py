"""Between what callers see and what backends see."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.errors import ConfigurationError
from actors.gateway_route.call import Call, Caller
from actors.gateway_route.mapping.documents import move, path_of, put
from actors.gateway_route.mapping.request import request_mapping
from actors.gateway_route.mapping.response import ResponseMap
from actors.gateway_route.mapping.system import system_value
from actors.http_calls.errors import CallRefusedError
from actors.wire.http.messages import Request, Response
from config.resources import BackendParameter, ResponseMapping

JSON = (("Content-Type", "application/json"),)


def call(**parameters: Any) -> Call:
    request = Request("GET", "/lots/5", headers=[("host", "api.example")], peer="10.0.0.1")
    caller = Caller("jwt", "subject", "shop", {"role": "clerk", "groups": ["a"], "https://x/y": 3})
    return Call(request, "id-1", "TEST", caller=caller, parameters=parameters)


def test_what_a_backend_gets_is_renamed_set_and_hidden() -> None:
    """A renamed one is gone under its old name, and a set one has nothing of what the caller wrote."""
    mapping = request_mapping(
        [
            BackendParameter(name="deviceId", parameter="device"),
            BackendParameter(name="limit", constant=10),
            BackendParameter(name="owner", system="app"),
            BackendParameter(name="role", system="authorizer.role"),
            BackendParameter(name="gone", parameter="nobody"),
        ],
        "lot",
    )
    one = call(device="d1", limit="1000000", owner="somebody", role="admin", other="o")
    expected = {"deviceId": "d1", "limit": 10, "owner": "shop", "role": "clerk", "gone": None, "other": "o"}
    assert mapping(one) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source_address", "10.0.0.1"),
        ("app", "shop"),
        ("user", "subject"),
        ("request_id", "id-1"),
        ("stage", "TEST"),
        ("method", "GET"),
        ("path", "/lots/5"),
        ("host", "api.example"),
        ("route", "lot"),
        ("authorizer.role", "clerk"),
        ("authorizer.groups", '["a"]'),
        ("authorizer.https://x/y", 3),
        ("authorizer.nothing", None),
    ],
)
def test_the_gateway_knows_of_a_call(name: str, value: Any) -> None:
    """Each value by its name."""
    assert system_value(name, "lot")(call()) == value


def test_an_app_is_no_user() -> None:
    """Only users and tokens' subjects are."""
    one = call()
    one.caller = Caller("app", "shop", "shop")
    assert system_value("user", "lot")(one) is None


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("default", "lots", {"total": 2, "lots": [{"n": 1, "m": {"k": 5}}, {"n": 2}]}),
        ("default.0.n", "first", {"total": 2, "default": [{"m": {"k": 5}}, {"n": 2}], "first": 1}),
        ("default.n", "default.free", {"total": 2, "default": [{"m": {"k": 5}, "free": 1}, {"free": 2}]}),
        ("default.m.k", "default.k", {"total": 2, "default": [{"n": 1, "m": {}, "k": 5}, {"n": 2}]}),
        ("total", "page.of.all", {"default": [{"n": 1, "m": {"k": 5}}, {"n": 2}], "page": {"of": {"all": 2}}}),
        ("nothing", "x", None),
        ("default.7", "x", None),
        ("default.n", "x", None),
        ("total", "default.x", None),
        ("total", "default.0.n.deep", None),
    ],
)
def test_fields_move_by_dotted_path(source: str, target: str, expected: Any) -> None:
    """Through objects, indexes and lists of objects; what leads nowhere changes nothing."""
    document = {"default": [{"n": 1, "m": {"k": 5}}, {"n": 2}], "total": 2}
    before = msgspec.json.decode(msgspec.json.encode(document))
    move(document, path_of(source), path_of(target))
    assert document == (before if expected is None else expected)


def test_values_are_put_where_they_can_be() -> None:
    """Objects are made on the way, and nothing that is no object is overwritten on it."""
    document: dict[str, Any] = {"a": 1, "l": [1, 2]}
    put(document, path_of("b.c"), 2)
    put(document, path_of("a.b"), 3)
    put(document, path_of("l.1"), 5)
    put(document, path_of("l.9"), 5)
    assert document == {"a": 1, "l": [1, 5], "b": {"c": 2}}


def mapped(settings: ResponseMapping, response: Response) -> Response:
    answer = ResponseMap(settings, "lot")(call(), response)
    assert isinstance(answer, Response)
    return answer


def test_status_headers_and_fields_are_mapped() -> None:
    """Only what is named; constants and values of the system are put in."""
    settings = ResponseMapping(
        status={"200": 201},
        headers={"x-inner": "X-Outer"},
        fields={"default": "lots"},
        constants={"api.version": 2},
        system={"api.request": "request_id"},
    )
    answer = mapped(settings, Response(200, (*JSON, ("X-Inner", "1")), b'{"default":[1]}'))
    assert (answer.status, answer.headers[1]) == (201, ("X-Outer", "1"))
    assert msgspec.json.decode(answer.body) == {"lots": [1], "api": {"version": 2, "request": "id-1"}}
    assert mapped(settings, Response(404, (), b"x")).status == 404


def test_what_is_no_json_keeps_its_body() -> None:
    """By its Content-Type; and what says that it is JSON and is not is the backend's fault."""
    settings = ResponseMapping(constants={"a": 1})
    assert mapped(settings, Response(200, (("Content-Type", "text/plain"),), b"x")).body == b"x"
    assert mapped(settings, Response(200, (("content-type", "application/x+json"),), b"{}")).body == b'{"a":1}'
    assert mapped(settings, Response(200, JSON, b"[1]")).body == b"[1]"
    with pytest.raises(CallRefusedError, match="cannot be read"):
        mapped(settings, Response(200, JSON, b"{"))


def test_a_status_without_a_body_has_none() -> None:
    """Whatever the backend said."""
    assert mapped(ResponseMapping(status={"200": 204}), Response(200, JSON, b"{}")).body == b""


async def test_a_large_answer_is_mapped_beside_others() -> None:
    """It is to be waited for, and comes to the same."""
    body = msgspec.json.encode({"a": "x" * 100_000})
    answer = ResponseMap(ResponseMapping(fields={"a": "b"}), "lot")(call(), Response(200, JSON, body))
    assert not isinstance(answer, Response)
    assert msgspec.json.decode((await answer).body) == {"b": "x" * 100_000}


def test_a_header_that_cannot_be_sent_is_refused_when_it_is_compiled() -> None:
    """No answer could break out of its line by it."""
    with pytest.raises(ConfigurationError, match=r"response\.headers"):
        ResponseMap(ResponseMapping(headers={"a": "b\r\nc"}), "lot")

"""What callers send: read from its place, of its type, within its bounds, or refused by name."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from actors.gateway_route.call import Call
from actors.gateway_route.parameters.step import ParameterStep, inputs_as_parameters
from actors.http_calls.errors import CallRefusedError
from actors.wire.http.messages import Request
from config.resources import BackendInput, Parameter

JSON = [("content-type", "application/json")]


def declared(name: str = "n", place: str = "query", **more: Any) -> Parameter:
    return Parameter(name=name, place=place, **more)


def call(query: str = "", body: Any = None, headers: Any = (), path: dict[str, str] | None = None) -> Call:
    encoded = b"" if body is None else msgspec.json.encode(body)
    request = Request("POST", "/x", query, [*headers, *(JSON if encoded else [])])
    return Call(request, path=path or {}, body=encoded)


def read(one: Call, *parameters: Parameter, reads_body: bool = True, refuse: bool = False) -> dict[str, Any]:
    ParameterStep(parameters, reads_body=reads_body, refuse_undeclared=refuse)(one)
    return dict(one.parameters)


def refusal(one: Call, *parameters: Parameter, refuse: bool = False) -> str:
    with pytest.raises(CallRefusedError) as refused:
        read(one, *parameters, refuse=refuse)
    assert (refused.value.error.code, refused.value.error.status) == ("APIC.0201", 400)
    return refused.value.detail


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", "a%20b", "a b"),
        ("integer", "-12", -12),
        ("number", "1.5", 1.5),
        ("number", "2", 2),
        ("number", "1e3", 1000.0),
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("json", "%7B%22a%22:1%7D", '{"a":1}'),
    ],
)
def test_text_becomes_the_declared_type(kind: str, text: str, value: Any) -> None:
    """From a query, where all is text."""
    found = read(call(f"n={text}"), declared(type=kind))
    assert found == {"n": value}
    assert type(found["n"]) is type(value)


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("string", "x", "x"),
        ("integer", 5, 5),
        ("integer", 5.0, 5),
        ("number", 1.5, 1.5),
        ("boolean", True, True),
        ("json", [1, {"a": 2}], '[1,{"a":2}]'),
        ("json", "x", '"x"'),
    ],
)
def test_json_bodies_have_types_of_their_own(kind: str, given: Any, value: Any) -> None:
    """A field of a JSON body is taken where it is of the type."""
    assert read(call(body={"n": given}), declared(place="body", type=kind)) == {"n": value}


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("string", 5),
        ("string", True),
        ("string", [1]),
        ("string", {"a": 1}),
        ("integer", "x"),
        ("integer", True),
        ("integer", 1.5),
        ("integer", [1]),
        ("number", "1_000"),
        ("number", "NaN"),
        ("number", "Infinity"),
        ("number", False),
        ("boolean", "yes"),
        ("boolean", 1),
    ],
)
def test_another_type_is_refused_by_name(kind: str, given: Any) -> None:
    """No guessing: a list is no text, true is no number."""
    assert refusal(call(body={"n": given}), declared(place="body", type=kind)).startswith(
        "parameter n in the body must be"
    )


@pytest.mark.parametrize("text", ["1" * 41, "0x10", "1e999", "--1", "", "٣", " 1"])
def test_text_that_is_no_number(text: str) -> None:
    """As JSON writes numbers, and no longer than anybody needs."""
    assert "must be" in refusal(call(f"n={quote(text)}"), declared(type="number"))


@pytest.mark.parametrize(
    ("bounds", "query", "reason"),
    [
        ({"type": "integer", "min": 1}, "n=0", "must be at least 1"),
        ({"type": "number", "max": 1.5}, "n=1.6", "must be at most 1.5"),
        ({"min_length": 2}, "n=a", "must have at least 2 characters"),
        ({"max_length": 2}, "n=abc", "must have at most 2 characters"),
        ({"enum": ("a", "b")}, "n=c", "must be one of a, b"),
        ({"type": "integer", "enum": (1, 2)}, "n=3", "must be one of 1, 2"),
        ({"pattern": "^[a-z]+$"}, "n=A", "must match the pattern ^[a-z]+$"),
        ({"pattern": "a"}, f"n={'a' * 1025}", "must have at most 1024 characters"),
        ({"required": True}, "", "is missing"),
        ({"required": True}, "m=1", "is missing"),
    ],
)
def test_bounds_hold(bounds: dict[str, Any], query: str, reason: str) -> None:
    """The reason says what the parameter must be, and never what it was."""
    assert refusal(call(query), declared(**bounds)) == f"parameter n in the query {reason}"


def test_each_place_is_its_own() -> None:
    """A declared parameter is read from its place alone; headers know no case, and are given once."""
    parameters = (declared("a", "path", type="integer"), declared("b"), declared("C", "header"), declared("d", "body"))
    found = read(call("b=2&d=no", {"d": "4", "b": "no"}, [("c", "3")], {"a": "1"}), *parameters)
    assert found == {"a": 1, "b": "2", "C": "3", "d": "4"}
    assert refusal(call(headers=[("c", "1"), ("c", "2")]), declared("C", "header")) == (
        "parameter C among the headers is given twice"
    )
    assert refusal(call(), declared("a", "path")) == "parameter a in the path is missing"


def test_what_is_not_given_has_its_default() -> None:
    """Or is None; JSON's null is nothing given."""
    parameters = (declared("a", default="x"), declared("b"), declared("c", "body", type="integer", default=3))
    assert read(call(body={"c": None}), *parameters) == {"a": "x", "b": None, "c": 3}
    assert refusal(call(body={"c": None}), declared("c", "body", required=True)) == "parameter c in the body is missing"


def test_no_undeclared_value_takes_a_declared_name() -> None:
    """What is checked in one place does not come unchecked from another."""
    assert read(call("role=admin", {"role": "admin"}), declared("role", "header")) == {"role": None}


def test_undeclared_ones_go_on_unless_refused() -> None:
    """As text, and from JSON as they are; where the route refuses them, by name and in either place."""
    assert read(call("a=1", {"b": 2, "c": [1]}), declared()) == {"n": None, "a": "1", "b": 2, "c": "[1]"}
    assert refusal(call("n=1&admin=true"), declared(), refuse=True) == "admin in the query is no parameter of this API"
    reason = refusal(call("n=1", {"is_admin": True}), declared(), refuse=True)
    assert reason == "is_admin in the body is no parameter of this API"
    assert refusal(call("n=1", {"n": 1}), declared(), refuse=True) == "n in the body is no parameter of this API"
    assert len(refusal(call("x" * 10_000), declared(), refuse=True)) < 200
    assert read(call("n=1", path={"p": "2"}), declared(), refuse=True) == {"n": "1", "p": "2"}


def test_a_body_that_is_none_of_parameters_stays_unread() -> None:
    """Where nothing in it is declared, it may be anything."""
    one = Call(Request("POST", "/x", "n=1"), body=b"\x00not json")
    assert read(one, declared(), reads_body=False) == {"n": "1"}


async def test_a_large_body_is_read_beside_others() -> None:
    """Its step is to be waited for, and comes to the same."""
    one = call(body={"n": "x" * 100_000})
    waiting = ParameterStep([declared("n", "body", max_length=100_000)], reads_body=True)(one)
    assert waiting is not None
    await waiting
    assert one.parameters == {"n": "x" * 100_000}
    one = call(body={"n": "x" * 100_001})
    waiting = ParameterStep([declared("n", "body", max_length=100_000)], reads_body=True)(one)
    assert waiting is not None
    with pytest.raises(CallRefusedError, match="n in the body must have at most"):
        await waiting


def test_inputs_of_a_backend_are_parameters_too() -> None:
    """Unless the route declares them in its own words."""
    inputs = (BackendInput(name="a", required=True), BackendInput(name="X-B", place="header"))
    route = (declared("x-b", "header", type="integer"),)
    assert inputs_as_parameters(inputs, route) == (declared("a", required=True),)


@pytest.mark.parametrize("body", [b'{"n": 1, "n": 2}', b'{"n":1,"\\u006e":1}', b'{"x": {"n": 1}, "n": 1, "x": 2}'])
def test_a_name_that_comes_twice_in_a_body_is_refused(body: bytes) -> None:
    """Which of the two counts, readers do not agree on; names inside of values are theirs."""
    assert refusal(Call(Request("POST", "/x", "", JSON), body=body)) == "a parameter is given twice in the body"
    nested = b'{"n": {"n": 1, "a": [{"n": "\\n \\"n\\": 1"}]}, "m": {"n": 2, "n": 3}}'
    assert set(read(Call(Request("POST", "/x", "", JSON), body=nested))) == {"n", "m"}


@pytest.mark.parametrize("coding", ["gzip", "zstd", "br", "identity, gzip", "x"])
def test_a_compressed_body_is_not_read(coding: str) -> None:
    """415, and what is taken instead: nothing that is small here grows large behind it; identity is as good as none."""
    with pytest.raises(CallRefusedError) as refused:
        read(call(body={"n": 1}, headers=[("content-encoding", coding)]))
    assert (refused.value.error.status, refused.value.headers) == (415, (("Accept-Encoding", "identity"),))
    assert read(call(body={"n": 1}, headers=[("content-encoding", "Identity")])) == {"n": 1}

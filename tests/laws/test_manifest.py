"""What is written as a manifest reads back as what it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from config.errors import ManifestError, Problem
from config.manifest import dump, load
from config.resources import (
    AccessList,
    AnyResource,
    Auth,
    Backend,
    BackendParameter,
    DataBackend,
    Field,
    Function,
    Jwt,
    RouteBackend,
    SecretReference,
)
from config.resources.identity import identity
from config.resources.topics import BacklogLimit
from config.yaml import YamlError, parse

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    [
        "012",
        "10:20:30:40:50:10",
        "1.10",
        "true",
        "null",
        "~",
        "yes",
        "0o14",
        "0x1f",
        "1e3",
        "2024-01-01",
        "a: b",
        "- x",
        "line\nline",
        " lead",
        "trail ",
        "# no comment",
        "'",
        '"',
        "\t",
        "{x}",
        "*a",
        "&a",
        "!t",
        "%",
        "@",
        "...",
        "---",
    ]
)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def values_of(wanted: Any) -> st.SearchStrategy[Any]:
    """Values of a described type."""
    return STRATEGIES[type(wanted)](wanted)


def texts(wanted: inspect.StrType) -> st.SearchStrategy[str]:
    """Any text that keeps the bounds, whatever YAML could take it for."""
    if wanted.pattern is None:
        return TEXT.filter(lambda text: len(text) >= (wanted.min_length or 0))
    if wanted.pattern == "^/":
        return TEXT.map("/".__add__)
    return st.from_regex(wanted.pattern).filter(lambda text: len(text) <= 128)


def integers(wanted: inspect.IntType) -> st.SearchStrategy[int]:
    """What 64 bits and the bounds allow."""
    least = -(2**63) if wanted.ge is None else wanted.ge
    return st.integers(least, 2**63 - 1 if wanted.le is None else wanted.le)


def special(cls: type) -> st.SearchStrategy[Any] | None:
    """Structs that check themselves."""
    if cls is SecretReference:
        references = st.fixed_dictionaries({"env": TEXT}, optional={"default": TEXT})
        return (references | st.fixed_dictionaries({"file": TEXT})).map(lambda fields: SecretReference(**fields))
    if cls is DataBackend:
        return structs(
            inspect.type_info(cls),
            check=lambda fields: fields.get("connection") and fields.get("sql") and not fields.get("statements"),
        )
    if cls is Function:
        scripts = with_one(cls, "source", language="javascript")
        return scripts | with_one(cls, "module", language="python")
    if cls in ONE_OF:
        return st.sampled_from(ONE_OF[cls]).flatmap(lambda chosen: with_one(cls, chosen))
    if cls in ONE_OR_MORE:
        return structs(inspect.type_info(cls), check=lambda fields: any(fields.get(one) for one in ONE_OR_MORE[cls]))
    return None


def with_one(cls: type, chosen: str, **fixed: str) -> st.SearchStrategy[Any]:
    """A struct that has exactly one of some fields: the chosen one; and those that are fixed."""
    others = {name: field.default for field in inspect.type_info(cls).fields if (name := field.name) in ONE_OF[cls]}
    (wanted,) = [field.type for field in inspect.type_info(cls).fields if field.name == chosen]
    given_one = values_of(wanted).filter(lambda value: value not in (None, False, ()))
    fields = [field for field in inspect.type_info(cls).fields if field.name not in others | fixed]
    required = {field.name: values_of(field.type) for field in fields if field.required}
    optional = {field.name: values_of(field.type) for field in fields if not field.required}
    rest = st.fixed_dictionaries(required, optional=optional)
    return st.tuples(rest, given_one).map(lambda made: cls(**(made[0] | fixed | {chosen: made[1]})))


def structs(wanted: Any, check: Callable[[dict[str, Any]], bool] = lambda _: True) -> st.SearchStrategy[Any]:
    """Structs of a described type, fields with defaults left out at times; `check` says which fields go together."""
    required = {field.name: values_of(field.type) for field in wanted.fields if field.required}
    optional = {field.name: values_of(field.type) for field in wanted.fields if not field.required}
    return st.fixed_dictionaries(required, optional=optional).filter(check).map(lambda fields: wanted.cls(**fields))


def floats(wanted: inspect.FloatType) -> st.SearchStrategy[float]:
    """Finite ones that keep the bounds."""
    least, most = (wanted.gt if wanted.ge is None else wanted.ge), (wanted.lt if wanted.le is None else wanted.le)
    return st.floats(
        least,
        most,
        allow_nan=False,
        allow_infinity=False,
        exclude_min=wanted.gt is not None,
        exclude_max=wanted.lt is not None,
    )


# Of these fields exactly one is there.
ONE_OF: Mapping[type, tuple[str, ...]] = {
    AccessList: ("addresses", "apps"),
    Auth: ("app", "iam", "jwt", "custom"),
    Backend: ("data", "function", "mock", "topic", "device"),
    BackendParameter: ("parameter", "constant", "system"),
    Jwt: ("jwks_file", "jwks_url"),
    Function: ("module", "source"),
    RouteBackend: ("name", "data", "function", "mock", "topic", "device"),
}

# And of these at least one.
ONE_OR_MORE: Mapping[type, tuple[str, ...]] = {
    BacklogLimit: ("messages", "bytes", "age"),
    Field: ("path", "function"),
}

STRATEGIES: Mapping[type, Callable[[Any], st.SearchStrategy[Any]]] = {
    inspect.Metadata: lambda wanted: values_of(wanted.type),
    inspect.StructType: lambda wanted: structs(wanted) if (found := special(wanted.cls)) is None else found,
    inspect.UnionType: lambda wanted: st.one_of(*map(values_of, wanted.types)),
    inspect.VarTupleType: lambda wanted: st.lists(
        values_of(wanted.item_type), min_size=wanted.min_length or 0, max_size=3
    ).map(tuple),
    inspect.DictType: lambda wanted: st.dictionaries(
        values_of(wanted.key_type)
        if isinstance(wanted.key_type, inspect.Metadata) or wanted.key_type.pattern
        else TEXT,
        values_of(wanted.value_type),
        min_size=wanted.min_length or 0,
        max_size=3,
    ),
    inspect.StrType: texts,
    inspect.IntType: integers,
    inspect.FloatType: floats,
    inspect.LiteralType: lambda wanted: st.sampled_from(wanted.values),
    inspect.BoolType: lambda _: st.booleans(),
    inspect.NoneType: lambda _: st.none(),
    inspect.AnyType: lambda _: VALUES,
}
RESOURCES = st.one_of(*(values_of(inspect.type_info(kind)) for kind in get_args(AnyResource)))


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(RESOURCES, max_size=3, unique_by=identity))
def test_a_dumped_manifest_loads_as_the_same_resources(resources: list[AnyResource]) -> None:
    """load(dump(resources)) == resources, for every kind and any text in it."""
    assert [document.resource for document in load(dump(resources))] == resources


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(RESOURCES)
def test_yaml_and_json_say_the_same(resource: AnyResource) -> None:
    """A resource goes through YAML and through JSON to the same value."""
    (document,) = load(dump([resource]))
    assert msgspec.json.decode(msgspec.json.encode(resource), type=type(resource)) == document.resource


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    """Whatever is given, the reader yields documents or raises YamlError, and nothing else."""
    reasons = ["read"]
    try:
        list(parse(text))
    except YamlError as error:
        reasons = [error.reason]
    assert all(reasons)


TOKENS = st.sampled_from(
    [
        "kind: ",
        "app",
        "topic\n",
        "name: ",
        "x\n",
        "---\n",
        "[",
        "]",
        "{",
        "}",
        ": ",
        "- ",
        "\n",
        "  ",
        "&a ",
        "*a",
        "#",
        '"',
        "'",
        "|",
        "from: ",
        "product: ",
        "to: ",
        "!!str ",
        ", ",
        "? ",
        "12",
        "~",
        "...\n",
        "%YAML 1.2\n",
        "<<: ",
    ]
)


@settings(max_examples=300)
@given(st.lists(TOKENS, max_size=25).map("".join))
def test_any_manifest_is_loaded_or_refused_with_reasons(text: str) -> None:
    """Whatever is written, a manifest loads or every problem names its file and a reason."""
    problems = [Problem("loaded", file="a.yaml")]
    try:
        load(text, "a.yaml")
    except ManifestError as error:
        problems = list(error.problems)
    assert problems
    assert all(problem.reason and str(problem).startswith("a.yaml") for problem in problems)

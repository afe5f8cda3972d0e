"""What is written as a manifest reads back as what it was."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from config.errors import ManifestError
from config.manifest import dump, load
from config.resources import AnyResource, Backend, DataBackend, MockBackend, SecretReference
from config.resources.identity import identity
from config.yaml import YamlError, parse

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["012", "10:20:30:40:50:10", "1.10", "true", "null", "~", "yes", "0o14", "0x1f", "1e3", "2024-01-01", "a: b", "- x"]
    + ["line\nline", " lead", "trail ", "# no comment", "'", '"', "\t", "{x}", "*a", "&a", "!t", "%", "@", "...", "---"]
)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def values_of(wanted: inspect.Type) -> st.SearchStrategy[Any]:
    """Values of a described type."""
    match wanted:
        case inspect.Metadata(type=inner):
            return values_of(inner)
        case inspect.StructType(cls=cls):
            return structs(wanted) if (strategy := special(cls)) is None else strategy
        case inspect.UnionType(types=types):
            return st.one_of(*map(values_of, types))
        case inspect.VarTupleType(item_type=item, min_length=least, max_length=most):
            return st.lists(values_of(item), min_size=least or 0, max_size=min(most or 3, 3)).map(tuple)
        case inspect.DictType(value_type=value, min_length=least):
            return st.dictionaries(TEXT, values_of(value), min_size=least or 0, max_size=3)
        case inspect.StrType(pattern=None, min_length=least):
            return TEXT.filter(lambda text: len(text) >= (least or 0))
        case inspect.StrType(pattern="^/"):
            return TEXT.map("/".__add__)
        case inspect.StrType(pattern=pattern):
            return st.from_regex(pattern).filter(lambda text: len(text) <= 128)
        case inspect.IntType(ge=least, le=most):
            return st.integers(-(2**63) if least is None else least, 2**63 - 1 if most is None else most)
        case inspect.FloatType():
            return st.floats(allow_nan=False, allow_infinity=False)
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.AnyType():
            return VALUES
    raise AssertionError(wanted)


def special(cls: type) -> st.SearchStrategy[Any] | None:
    """Structs that check themselves."""
    if cls is SecretReference:
        references = st.fixed_dictionaries({"env": TEXT}, optional={"default": TEXT})
        return (references | st.fixed_dictionaries({"file": TEXT})).map(lambda fields: SecretReference(**fields))
    if cls is Backend:
        data, mock = (structs(inspect.type_info(each)) for each in (DataBackend, MockBackend))
        return data.map(lambda one: Backend(data=one)) | mock.map(lambda one: Backend(mock=one))
    return None


def structs(wanted: Any) -> st.SearchStrategy[Any]:
    """Structs of a described type, fields with defaults left out at times."""
    required = {field.name: values_of(field.type) for field in wanted.fields if field.required}
    optional = {field.name: values_of(field.type) for field in wanted.fields if not field.required}
    return st.fixed_dictionaries(required, optional=optional).map(lambda fields: wanted.cls(**fields))


RESOURCES = st.one_of(*(structs(inspect.type_info(kind)) for kind in get_args(AnyResource)))


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
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
    try:
        list(parse(text))
    except YamlError as error:
        assert error.reason


TOKENS = st.sampled_from(
    ["kind: ", "app", "topic\n", "name: ", "x\n", "---\n", "[", "]", "{", "}", ": ", "- ", "\n", "  ", "&a ", "*a", "#"]
    + ['"', "'", "|", "from: ", "product: ", "to: ", "!!str ", ", ", "? ", "12", "~", "...\n", "%YAML 1.2\n", "<<: "]
)


@settings(max_examples=300)
@given(st.lists(TOKENS, max_size=25).map("".join))
def test_any_manifest_is_loaded_or_refused_with_reasons(text: str) -> None:
    """Whatever is written, a manifest loads or every problem names its file and a reason."""
    try:
        load(text, "a.yaml")
    except ManifestError as error:
        assert error.problems
        assert all(problem.reason and str(problem).startswith("a.yaml") for problem in error.problems)

"""Whether parameters, mappings and statements of the gateway make sense by themselves."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from config.flaws import Flaw
from config.pattern_soundness import pattern_flaw
from config.resources import BackendParameter, DataBackend, Parameter, ResponseMapping, Route, RouteBackend
from config.resources.route_parts import ParameterType

_NUMBERS = frozenset({"integer", "number"})
_BESIDE_RESULTS = frozenset({"affected", "total", "pageNo", "pageSize"})
_KEY_PARAMETER = re.compile(r"\{([^{}]*)\}")
_STATUSES = range(200, 600)
_READS_NO_BODY = frozenset({"GET", "HEAD"})


def route_mapping_flaws(route: Route) -> Iterator[Flaw]:
    """What is wrong with what a route reads, and with what it makes of answers."""
    parameters = route.request.parameters
    for i, parameter in enumerate(parameters):
        yield from _parameter(parameter, f"$.request.parameters[{i}]")
    places = Counter(name for name, _ in {(one.name, one.place) for one in parameters})
    for i, parameter in enumerate(parameters):
        if places[parameter.name] > 1:
            reason = (
                f"{parameter.name} is read in {places[parameter.name]} places; a backend knows it by its name alone"
            )
            yield Flaw(f"$.request.parameters[{i}].name", reason)
        if parameter.place == "body" and route.request.method in _READS_NO_BODY:
            yield Flaw(f"$.request.parameters[{i}].in", f"a {route.request.method} request has no body")
    if route.request.match == "exact" and route.backend.data is not None:
        for i, one in enumerate(route.backend.data.parameters):
            if one.system == "rest_of_path":
                yield Flaw(f"$.backend.data.parameters[{i}].system", "there is no rest without `match: prefix`")
    yield from _response(route.response, route.backend)


def data_flaws(data: DataBackend, path: str) -> Iterator[Flaw]:
    """What is wrong with a backend of statements."""
    results = [statement.result for statement in data.all_statements]
    for i, result in enumerate(results):
        if result in results[:i]:
            yield Flaw(f"{path}.statements[{i}].result", f"another statement's result is called {result} too")
        if result in _BESIDE_RESULTS:
            yield Flaw(f"{path}.statements[{i}].result", f"{result} stands beside the results; take another name")
    if data.paging and len(results) != 1:
        yield Flaw(f"{path}.paging", f"goes with exactly one statement, and there are {len(results)}")
    if data.returns == "stream" and len(results) != 1:
        yield Flaw(f"{path}.returns", f"a raw answer is one statement's, and there are {len(results)}")
    if data.returns == "stream" and data.paging:
        yield Flaw(f"{path}.paging", "a raw answer has no room for a total; take json or xml")
    yield from _backend_parameters(data.parameters, f"{path}.parameters")


def key_flaws(key: str, path: str) -> Iterator[Flaw]:
    """What is wrong with the key of a record."""
    if set(_KEY_PARAMETER.sub("", key)) & set("{}"):
        yield Flaw(path, "a brace belongs to no parameter; one is written {name}")
    if "" in _KEY_PARAMETER.findall(key):
        yield Flaw(path, "{} names no parameter")


def _parameter(parameter: Parameter, path: str) -> Iterator[Flaw]:
    kind = parameter.type
    for name, kinds in (
        ("min", _NUMBERS),
        ("max", _NUMBERS),
        ("min_length", {"string"}),
        ("max_length", {"string"}),
        ("pattern", {"string"}),
    ):
        if getattr(parameter, name) is not None and kind not in kinds:
            yield Flaw(f"{path}.{name}", f"means nothing for type {kind}")
    for low, high in (("min", "max"), ("min_length", "max_length")):
        least, most = getattr(parameter, low), getattr(parameter, high)
        if least is not None and most is not None and least > most:
            yield Flaw(f"{path}.{low}", f"is {least}, and {high} is {most}: no value fits")
    if parameter.pattern is not None and (reason := pattern_flaw(parameter.pattern)):
        yield Flaw(f"{path}.pattern", reason)
    yield from _values(parameter, path)


def _values(parameter: Parameter, path: str) -> Iterator[Flaw]:
    if parameter.enum and parameter.type == "json":
        yield Flaw(f"{path}.enum", "means nothing for type json")
    for i, value in enumerate(parameter.enum):
        if not _is_of(value, parameter.type):
            yield Flaw(f"{path}.enum[{i}]", f"is no {parameter.type}")
    if parameter.default is None:
        return
    if parameter.required or parameter.place == "path":
        yield Flaw(f"{path}.default", "is never used, as the parameter is required")
    elif not _is_of(parameter.default, parameter.type):
        yield Flaw(f"{path}.default", f"is no {parameter.type}")
    elif parameter.enum and parameter.default not in parameter.enum:
        yield Flaw(f"{path}.default", "is not among `enum`")


def _is_of(value: object, kind: ParameterType) -> bool:
    match kind:
        case "integer":
            return type(value) is int
        case "number":
            return type(value) in {int, float}
        case "boolean":
            return isinstance(value, bool)
        case _:
            return isinstance(value, str)


def _backend_parameters(parameters: Iterable[BackendParameter], path: str) -> Iterator[Flaw]:
    seen: set[str] = set()
    for i, one in enumerate(parameters):
        if one.name in seen:
            yield Flaw(f"{path}[{i}].name", f"{one.name} is set twice")
        seen.add(one.name)


def _response(response: ResponseMapping, backend: RouteBackend) -> Iterator[Flaw]:
    for before, after in response.status.items():
        if not before.isascii() or not before.isdecimal() or int(before) not in _STATUSES or after not in _STATUSES:
            yield Flaw(f"$.response.status.{before}", "maps a status of 200 to 599 to another one")
    for name in ("fields", "constants", "system"):
        changes = getattr(response, name)
        for path in (*changes, *(changes.values() if name == "fields" else ())):
            if "" in path.split("."):
                yield Flaw(f"$.response.{name}", f"'{path}' is no dotted path such as default.0.name")
        if changes and backend.data is not None and backend.data.returns != "json":
            yield Flaw(f"$.response.{name}", f"changes JSON, and the backend returns {backend.data.returns}")

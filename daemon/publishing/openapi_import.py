"""An OpenAPI 3 document as routes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from actors.wire.http.responses import has_body
from config.decode import Decoder
from config.errors import ManifestError, Problem
from config.resources import MockBackend, Parameter, Route, RouteBackend, RouteRequest
from config.resources.routes import SampleAnswers
from config.yaml import YamlError, parse
from daemon.publishing.openapi_export import ANY_METHODS, JSON, MATCH, METHOD, PROTOCOL, ROUTE

_TYPES = ("string", "integer", "number", "boolean")
_BOUNDS = {
    "minimum": "min",
    "maximum": "max",
    "minLength": "min_length",
    "maxLength": "max_length",
    "pattern": "pattern",
    "default": "default",
}
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_PATH_PARAMETER = re.compile(r"\{([^{}]+)\}")
_NO_LETTER = re.compile(r"[^A-Za-z0-9_]")
_MAX_DEPTH = 20
_MAX_NAME = 128


class Target(NamedTuple):
    """Whose the routes are to be; `backend` is what answers, left out: a mock with the document's own examples."""

    app: str
    group: str | None = None
    backend: str | None = None


class _Wrong(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.problem = Problem(reason, path=path)


def routes_of(text: bytes, target: Target) -> list[Route]:
    """Each operation as a route, in the document's order; the path of its first server goes before each path.

    An operation asks for an app unless it says `security: []`. Schemas that are no plain values are left out of what is
    checked. Body parameters are the members of a JSON body.

    Raises:
        ManifestError: with all that cannot be taken.
    """
    document = _document(text)
    reader = _Reader(document, target)
    routes: dict[str, Route] = {}
    problems: list[Problem] = []
    for path, method, operation in _operations(document):
        try:
            route = reader.route(path, method, operation)
        except _Wrong as wrong:
            problems.append(wrong.problem)
            continue
        except (msgspec.ValidationError, ValueError, TypeError, AttributeError) as error:
            problems.append(Problem(f"cannot be read: {error}", path=f"$.paths['{path}'].{method}"))
            continue
        other = routes.setdefault(route.name, route)
        if other is not route and other.request.method != "ANY":
            problems.append(Problem(f"two operations are called {route.name}", path=f"$.paths['{path}'].{method}"))
    if not routes and not problems:
        problems.append(Problem("the document has no operation", path="$.paths"))
    if problems:
        raise ManifestError(problems)
    return list(routes.values())


def _document(text: bytes) -> Mapping[str, Any]:
    try:
        (parsed,) = parse(text)
    except YamlError as error:
        raise ManifestError([Problem(error.reason, line=error.line)]) from error
    except ValueError:
        raise ManifestError([Problem("expected one OpenAPI document")]) from None
    decoder = Decoder()
    document = decoder.build(parsed.root, Any)
    if decoder.problems:
        raise ManifestError(decoder.problems)
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3."):
        raise ManifestError([Problem("expected an OpenAPI 3 document", path="$.openapi")])
    if not isinstance(document.get("paths", {}), dict):
        raise ManifestError([Problem("expected a mapping of paths", path="$.paths")])
    return document


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, item in document.get("paths", {}).items():
        operations = {method: item.get(method) for method in ANY_METHODS} if isinstance(item, dict) else {}
        for method, operation in operations.items():
            if isinstance(operation, dict):
                parameters = [*_list(item), *_list(operation)]
                yield path, method, {**operation, "parameters": parameters}


def _list(owner: Mapping[str, Any]) -> list[Any]:
    """The parameters of a path or an operation; what is none of a list is left for its reader to refuse."""
    written = owner.get("parameters", [])
    return written if isinstance(written, list) else [written]


class _Reader:
    """Reads operations of one document."""

    def __init__(self, document: Mapping[str, Any], target: Target) -> None:
        self._document = document
        self._target = target
        servers = document.get("servers") or [{}]
        self._base = urlsplit(str(servers[0].get("url", ""))).path.rstrip("/")

    def route(self, path: str, method: str, operation: Mapping[str, Any]) -> Route:
        """One operation."""
        where = f"$.paths['{path}'].{method}"
        name = self._name(path, method, operation)
        status, sample = self._success(operation, where)
        target = self._target
        backend = RouteBackend(name=target.backend) if target.backend else RouteBackend(mock=_mock(status, sample))
        request = RouteRequest(
            path=self._base + _PATH_PARAMETER.sub(lambda found: f"{{{_variable(found[1])}}}", path),
            method=operation.get(METHOD, method.upper()),
            match=operation.get(MATCH, "exact"),
            protocol=operation.get(PROTOCOL, "both"),
            parameters=tuple(self._parameters(operation, where)),
        )
        route = Route(
            name=name,
            app=target.app,
            group=target.group,
            title=str(operation.get("summary", "")),
            description=str(operation.get("description", "")),
            tags=tuple(map(str, operation.get("tags", ()))),
            request=request,
            backend=backend,
            auth="none" if self._open(operation) else "app",
        )
        if sample is not None:
            route = msgspec.structs.replace(route, samples=SampleAnswers(success=sample))
        # Constructors take anything; what is in a document must fit the types as what is in a manifest must.
        checked: Route = msgspec.convert(msgspec.to_builtins(route), Route)
        return checked

    def _open(self, operation: Mapping[str, Any]) -> bool:
        """Only what says so: a document that says nothing of security is no reason to open its routes to everybody."""
        said: Any = operation.get("security", self._document.get("security"))
        return bool(said == [])

    def _name(self, path: str, method: str, operation: Mapping[str, Any]) -> str:
        written = str(operation.get(ROUTE) or operation.get("operationId") or f"{method}{path}")
        name = _UNSAFE.sub("-", written).strip("-._")
        return name[:_MAX_NAME] or method

    def _parameters(self, operation: Mapping[str, Any], where: str) -> Iterator[Parameter]:
        seen: dict[tuple[str, str], Mapping[str, Any]] = {}
        for i, written in enumerate(operation["parameters"]):
            one = self._resolved(written, f"{where}.parameters[{i}]")
            seen[str(one.get("name")), str(one.get("in"))] = one
        for (name, place), one in seen.items():
            if place == "header" and name.lower() == "x-stage":
                continue
            if place not in ("path", "query", "header"):
                raise _Wrong(f"{where}.parameters", f"{name}: parameters in {place} are not taken")
            required = bool(one.get("required")) and place != "path"
            schema = self._resolved(one.get("schema", {}), f"{where}.parameters.{name}.schema")
            # Nobody but the route sees what a segment is called.
            ours = _variable(name) if place == "path" else name
            yield _parameter(ours, place, required, schema, str(one.get("description", "")))
        yield from self._members(operation, where)

    def _members(self, operation: Mapping[str, Any], where: str) -> Iterator[Parameter]:
        body = self._resolved(operation.get("requestBody", {}), f"{where}.requestBody")
        schema = body.get("content", {}).get(JSON, {}).get("schema", {})
        schema = self._resolved(schema, f"{where}.requestBody.schema")
        required = schema.get("required", ())
        for name, written in schema.get("properties", {}).items():
            member = self._resolved(written, f"{where}.requestBody.{name}")
            if _type(member) in _TYPES:
                yield _parameter(name, "body", name in required, member, str(member.get("description", "")))

    def _success(self, operation: Mapping[str, Any], where: str) -> tuple[int, Any]:
        """Status and example of the first success; 200 and None where none is written."""
        for status, written in sorted(operation.get("responses", {}).items(), key=lambda item: str(item[0])):
            if not str(status).startswith("2"):
                continue
            answer = self._resolved(written, f"{where}.responses.{status}")
            # `2XX` is any of them.
            return int(status) if str(status).isdecimal() else 200, self._example(answer, where)
        return 200, None

    def _example(self, answer: Mapping[str, Any], where: str) -> Any:
        media = answer.get("content", {}).get(JSON, {})
        if "example" in media:
            return media["example"]
        for example in media.get("examples", {}).values():
            return self._resolved(example, where).get("value")
        return self._resolved(media.get("schema", {}), where).get("example")

    def _resolved(self, written: Any, where: str) -> Mapping[str, Any]:
        """What is written there, or what a `$ref` within the document names."""
        for _ in range(_MAX_DEPTH):
            if not isinstance(written, dict):
                raise _Wrong(where, "expected a mapping")
            reference = written.get("$ref")
            if reference is None:
                return written
            written = self._found(str(reference), where)
        raise _Wrong(where, "its $ref leads nowhere")

    def _found(self, reference: str, where: str) -> Any:
        if not reference.startswith("#/"):
            raise _Wrong(where, f"$ref {reference} is not within the document")
        found: Any = self._document
        for part in reference[2:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or key not in found:
                raise _Wrong(where, f"$ref {reference} leads nowhere")
            found = found[key]
        return found


def _variable(name: str) -> str:
    """A parameter's name as a route's path takes it."""
    plain = _NO_LETTER.sub("_", name)
    return f"_{plain}" if plain[:1].isdigit() else plain


def _mock(status: int, sample: Any) -> MockBackend:
    return MockBackend(status=status, body="" if sample is None or not has_body(status) else sample)


def _type(schema: Mapping[str, Any]) -> str:
    """The one type that is not null; of what is no plain value, text, as which it travels."""
    written = schema.get("type", "string")
    types = [one for one in (written if isinstance(written, list) else [written]) if one != "null"]
    return str(types[0]) if len(types) == 1 else ""


def _parameter(name: str, place: str, required: bool, schema: Mapping[str, Any], description: str) -> Parameter:  # noqa: FBT001 - as it is written in the document
    kind = _type(schema)
    plain = kind in _TYPES
    fields: dict[str, Any] = {"name": name, "in": place, "type": kind if plain else "string", "required": required}
    if plain:
        fields |= {ours: schema[word] for word, ours in _BOUNDS.items() if schema.get(word) is not None}
        if schema.get("enum"):
            fields["enum"] = [value for value in schema["enum"] if value is not None]
    return msgspec.convert(fields | {"description": description}, Parameter)

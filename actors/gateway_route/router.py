"""Which route a request is for: by hash for exact paths, segment by segment for those with parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

from actors.errors import PenstockError
from actors.gateway_route.paths import Parameter, Segment, canonical, decode

T = TypeVar("T")

ANY = "ANY"
_NO_PARAMETERS: Mapping[str, str] = {}


class Match(NamedTuple, Generic[T]):
    """The route found, with its parameters; else the methods that its path does take (none: there is no such path)."""

    value: T | None
    parameters: Mapping[str, str]
    allowed: tuple[str, ...] = ()


class RouteTakenError(PenstockError):
    """Another route already serves this method and path; `holder` is that one."""

    def __init__(self, holder: object) -> None:
        super().__init__("method and path are served already")
        self.holder = holder


class _Leaf(NamedTuple, Generic[T]):
    names: tuple[str, ...]
    value: T


class _Node(Generic[T]):
    __slots__ = ("leaves", "literals", "parameter")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.parameter: _Node[T] | None = None
        self.leaves: dict[str, _Leaf[T]] = {}

    @property
    def empty(self) -> bool:
        return not self.literals and self.parameter is None and not self.leaves


class Router(Generic[T]):
    """Finds what was added under a method and a path.

    An exact segment goes before a parameter, from left to right; a method before ANY; GET serves HEAD. Paths are
    case-sensitive, and a slash at the end makes another path. How many routes there are does not matter.
    """

    def __init__(self) -> None:
        self._exact: dict[str, dict[str, T]] = {}
        self._root: _Node[T] = _Node()

    def add(self, method: str, path: tuple[Segment, ...], value: T) -> None:
        """Add a route.

        Raises:
            RouteTakenError: another one has this method and these segments; names of parameters tell no routes apart.
        """
        names = tuple(segment.name for segment in path if isinstance(segment, Parameter))
        if not names:
            methods = self._exact.setdefault(_key(path), {})
            if method in methods:
                raise RouteTakenError(methods[method])
            methods[method] = value
            return
        node = self._root
        for segment in path:
            node = _grow(node, segment)
        if method in node.leaves:
            raise RouteTakenError(node.leaves[method].value)
        node.leaves[method] = _Leaf(names, value)

    def remove(self, method: str, path: tuple[Segment, ...]) -> None:
        """Take a route out; one that is not there is no error."""
        if not any(isinstance(segment, Parameter) for segment in path):
            key = _key(path)
            methods = self._exact.get(key, {})
            methods.pop(method, None)
            if not methods:
                self._exact.pop(key, None)
            return
        _prune(self._root, method, path)

    def match(self, method: str, path: str) -> Match[T]:
        """Find the route of a request; `path` is still percent-encoded.

        Raises:
            ValueError: the path is malformed.
        """
        methods = self._exact.get(path)
        if methods is not None:
            found = _pick(methods, method)
            if found is not None:
                return Match(found, _NO_PARAMETERS)
        return self._search(method, path)

    def _search(self, method: str, path: str) -> Match[T]:
        segments = decode(path)
        allowed: set[str] = set()
        methods = self._exact.get(canonical(segments))
        if methods is not None:
            found = _pick(methods, method)
            if found is not None:
                return Match(found, _NO_PARAMETERS)
            allowed.update(methods)
        for leaves, values in _walk(self._root, segments, 0, ()):
            leaf = _pick(leaves, method)
            if leaf is not None:
                return Match(leaf.value, dict(zip(leaf.names, values, strict=True)))
            allowed.update(leaves)
        return Match(None, _NO_PARAMETERS, _allow(allowed))


def _key(path: tuple[Segment, ...]) -> str:
    return canonical([segment for segment in path if isinstance(segment, str)])


def _pick(methods: Mapping[str, T], method: str) -> T | None:
    found = methods.get(method)
    if found is None and method == "HEAD":
        found = methods.get("GET")
    return methods.get(ANY) if found is None else found


def _allow(methods: set[str]) -> tuple[str, ...]:
    if not methods:
        return ()
    also = {"OPTIONS", "HEAD"} if "GET" in methods else {"OPTIONS"}
    return tuple(sorted(methods | also))


def _grow(node: _Node[T], segment: Segment) -> _Node[T]:
    if isinstance(segment, str):
        return node.literals.setdefault(segment, _Node())
    if node.parameter is None:
        node.parameter = _Node()
    return node.parameter


def _prune(node: _Node[T], method: str, path: tuple[Segment, ...]) -> None:
    """Take a leaf out, and with it the nodes that led to nothing else."""
    if not path:
        node.leaves.pop(method, None)
        return
    segment = path[0]
    child = node.literals.get(segment) if isinstance(segment, str) else node.parameter
    if child is None:
        return
    _prune(child, method, path[1:])
    if not child.empty:
        return
    if isinstance(segment, str):
        del node.literals[segment]
    else:
        node.parameter = None


def _walk(
    node: _Node[T], segments: list[str], at: int, values: tuple[str, ...]
) -> Iterator[tuple[dict[str, _Leaf[T]], tuple[str, ...]]]:
    """The ends of all ways that these segments may go, the most exact one first."""
    if at == len(segments):
        if node.leaves:
            yield node.leaves, values
        return
    segment = segments[at]
    literal = node.literals.get(segment)
    if literal is not None:
        yield from _walk(literal, segments, at + 1, values)
    if node.parameter is not None and segment:
        yield from _walk(node.parameter, segments, at + 1, (*values, segment))

"""Which route a request is for: by hash for exact paths, segment by segment for those with parameters and prefixes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

import msgspec

from actors.errors import PenstockError
from actors.gateway_route.paths import Parameter, Segment, below, canonical, decode

T = TypeVar("T")

ANY = "ANY"
_NO_PARAMETERS: Mapping[str, str] = {}


class Match(msgspec.Struct, Generic[T], frozen=True):
    """The route found, with its parameters; else the methods that its path does take (none: there is no such path).

    `rest` is what of the path is below a prefix, decoded, without the slash before it.
    """

    value: T | None
    parameters: Mapping[str, str] = _NO_PARAMETERS
    allowed: tuple[str, ...] = ()
    rest: str = ""


class RouteTakenError(PenstockError):
    """Another route already serves this method and path; `holder` is that one."""

    def __init__(self, holder: object) -> None:
        super().__init__("method and path are served already")
        self.holder = holder


class _Leaf(NamedTuple, Generic[T]):
    names: tuple[str, ...]
    value: T


class _Found(NamedTuple, Generic[T]):
    leaf: _Leaf[T]
    values: tuple[str, ...]
    # How many segments a prefix has; None where the path is a route's own.
    length: int | None


class _Node(Generic[T]):
    """Where the paths of routes meet: `leaves` are of those that end here, `prefixes` of those that begin so."""

    __slots__ = ("leaves", "literals", "parameter", "prefixes")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.parameter: _Node[T] | None = None
        self.leaves: dict[str, _Leaf[T]] = {}
        self.prefixes: dict[str, _Leaf[T]] = {}

    @property
    def empty(self) -> bool:
        return not self.literals and self.parameter is None and not self.leaves and not self.prefixes


class Router(Generic[T]):
    """Finds what was added under a method and a path, or under a method and a prefix.

    A path of its own goes before any prefix, a longer prefix before a shorter one; then an exact segment before a
    parameter, from left to right; a method before ANY; GET serves HEAD. Paths are case-sensitive, and a slash at the
    end makes another path. A prefix takes itself and what is below it, segment by segment: `/a` takes `/a`, `/a/` and
    `/a/b`, and neither `/ab` nor a path with an empty segment in it. How many routes there are does not matter.
    """

    def __init__(self) -> None:
        self._exact: dict[str, dict[str, Match[T]]] = {}
        self._root: _Node[T] = _Node()

    def add(self, method: str, path: tuple[Segment, ...], value: T, *, prefix: bool = False) -> None:
        """Add a route.

        Raises:
            RouteTakenError: another one has this method and these segments; names of parameters tell no routes apart,
                nor does a slash at the end of a prefix.
        """
        names = _names(path)
        if not names and not prefix:
            methods = self._exact.setdefault(_key(path), {})
            if method in methods:
                raise RouteTakenError(methods[method].value)
            methods[method] = Match(value)
            return
        node = self._root
        for segment in _stem(path) if prefix else path:
            node = _grow(node, segment)
        leaves = node.prefixes if prefix else node.leaves
        if method in leaves:
            raise RouteTakenError(leaves[method].value)
        leaves[method] = _Leaf(names, value)

    def remove(self, method: str, path: tuple[Segment, ...], *, prefix: bool = False) -> None:
        """Take a route out; one that is not there is no error."""
        if not _names(path) and not prefix:
            key = _key(path)
            methods = self._exact.get(key, {})
            methods.pop(method, None)
            if not methods:
                self._exact.pop(key, None)
            return
        _prune(self._root, method, _stem(path) if prefix else path, prefix=prefix)

    def match(self, method: str, path: str) -> Match[T]:
        """Find the route of a request; `path` is still percent-encoded.

        Raises:
            ValueError: the path is malformed, or climbs.
        """
        methods = self._exact.get(path)
        if methods is not None:
            found = methods.get(method) or _pick(methods, method)
            if found is not None:
                return found
        return self._search(method, path)

    def _search(self, method: str, path: str) -> Match[T]:
        if path == "*":
            return Match(None)
        segments = decode(path)
        # What has nothing encoded is spelt canonically, and was looked for already.
        methods = self._exact.get(canonical(segments)) if "%" in path else None
        if methods is not None:
            exact = _pick(methods, method)
            if exact is not None:
                return exact
        found = _descend(self._root, method, segments)
        if found is None:
            return Match(None, _NO_PARAMETERS, self._allowed(segments))
        leaf, values, length = found
        rest = "" if length is None else below(segments, length)
        names = leaf.names
        parameters = {names[0]: values[0]} if len(names) == 1 else dict(zip(names, values, strict=True))
        return Match(leaf.value, parameters, (), rest)

    def _allowed(self, segments: list[str]) -> tuple[str, ...]:
        methods = {*self._exact.get(canonical(segments), ())}
        whole = "" not in segments[:-1]
        for leaves, is_prefix in _walk(self._root, segments, 0):
            if whole or not is_prefix:
                methods.update(leaves)
        if not methods:
            return ()
        also = {"OPTIONS", "HEAD"} if "GET" in methods else {"OPTIONS"}
        return tuple(sorted(methods | also))


def _names(path: tuple[Segment, ...]) -> tuple[str, ...]:
    return tuple(segment.name for segment in path if isinstance(segment, Parameter))


def _stem(path: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """The segments of a prefix: a slash at its end says nothing."""
    return path[:-1] if path[-1:] == ("",) else path


def _key(path: tuple[Segment, ...]) -> str:
    return canonical([segment for segment in path if isinstance(segment, str)])


V = TypeVar("V")


def _pick(methods: Mapping[str, V], method: str) -> V | None:
    found = methods.get(method)
    if found is None and method == "HEAD":
        found = methods.get("GET")
    return methods.get(ANY) if found is None else found


def _grow(node: _Node[T], segment: Segment) -> _Node[T]:
    if isinstance(segment, str):
        child = node.literals.get(segment)
        if child is None:
            child = node.literals[segment] = _Node()
        return child
    if node.parameter is None:
        node.parameter = _Node()
    return node.parameter


def _prune(node: _Node[T], method: str, path: tuple[Segment, ...], *, prefix: bool) -> None:
    """Take a leaf out, and with it the nodes that led to nothing else."""
    if not path:
        (node.prefixes if prefix else node.leaves).pop(method, None)
        return
    segment = path[0]
    child = node.literals.get(segment) if isinstance(segment, str) else node.parameter
    if child is None:
        return
    _prune(child, method, path[1:], prefix=prefix)
    if not child.empty:
        return
    if isinstance(segment, str):
        del node.literals[segment]
    else:
        node.parameter = None


def _descend(root: _Node[T], method: str, segments: list[str]) -> _Found[T] | None:
    """The first way that ends at a leaf of this method, exact segments first; else that to the longest prefix."""
    count = len(segments)
    longest: _Found[T] | None = None
    length = -1
    ways: list[tuple[_Node[T], int, tuple[str, ...]]] = [(root, 0, ())]
    while ways:
        node, at, values = ways.pop()
        while True:
            if node.prefixes and at > length:
                leaf = _pick(node.prefixes, method)
                if leaf is not None:
                    longest, length = _Found(leaf, values, at), at
            if at == count:
                leaf = _pick(node.leaves, method) if node.leaves else None
                if leaf is not None:
                    return _Found(leaf, values, None)
                break
            segment = segments[at]
            at += 1
            literal, parameter = node.literals.get(segment), node.parameter
            if parameter is not None and segment:
                if literal is None:
                    node, values = parameter, (*values, segment)
                    continue
                ways.append((parameter, at, (*values, segment)))
            if literal is None:
                break
            node = literal
    return longest if longest is not None and "" not in segments[:-1] else None


def _walk(node: _Node[T], segments: list[str], at: int) -> Iterator[tuple[dict[str, _Leaf[T]], bool]]:
    """All that these segments lead to, and to whose prefixes."""
    if node.prefixes:
        yield node.prefixes, True
    if at == len(segments):
        if node.leaves:
            yield node.leaves, False
        return
    segment = segments[at]
    literal = node.literals.get(segment)
    if literal is not None:
        yield from _walk(literal, segments, at + 1)
    if node.parameter is not None and segment:
        yield from _walk(node.parameter, segments, at + 1)

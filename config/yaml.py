"""YAML 1.2 core schema, read into nodes that remember their lines and their source text.

What a scalar means is left to whoever knows the type that is wanted (`config.decode`); `resolve` tells what the core
schema (YAML 1.2.2 chapter 10.3) makes of one where nothing is known. Only true and false are booleans; there are no
sexagesimal numbers, no octal by a leading zero, no dates, no merge keys.

Size, depth and the number of nodes (aliases counted as what they stand for) are bounded, so that a small file cannot
grow large in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import yaml

from config.errors import InvalidConfigError

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 1_000_000

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_QUOTED_TAGS = {"!", f"{_TAG}str"}
_PLAIN_TAGS = {f"{_TAG}{name}" for name in ("int", "float", "bool", "null")}
_COLLECTION_TAGS = {f"{_TAG}{name}" for name in ("map", "seq")}

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUES = frozenset({"true", "True", "TRUE"})
_FALSES = frozenset({"false", "False", "FALSE"})
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INTEGER_BITS = 64
_LONGEST_INTEGER = 64


class YamlError(InvalidConfigError):
    """The text is not YAML, or more of it than is taken.

    Attributes:
        line: where, from 1; 0 when the file as a whole is meant.
        document: the document in which it stands, from 1.
        reason: why.
    """

    def __init__(self, reason: str, *, line: int = 0, document: int = 0) -> None:
        super().__init__(f"line {line}: {reason}" if line else reason)
        self.reason = reason
        self.line = line
        self.document = document


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar; `plain` when it was written without quotes and so may be something else than text."""

    text: str
    line: int
    plain: bool


@dataclass(frozen=True, slots=True)
class Items:
    """A sequence."""

    items: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """A mapping, as it stands: a key may come twice."""

    pairs: tuple[tuple[Scalar, Node], ...]
    line: int

    def get(self, key: str) -> Node | None:
        """The first value of a key."""
        return next((value for name, value in self.pairs if name.text == key), None)


Node: TypeAlias = Scalar | Items | Pairs


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """One document of a stream, counted from 1; `line` is that of its first content."""

    number: int
    line: int
    root: Node


def is_null(node: Node) -> bool:
    """Whether the core schema takes it as null: nothing, `~`, `null`."""
    return isinstance(node, Scalar) and node.plain and node.text in _NULLS


def resolve(scalar: Scalar) -> str | int | float | bool | None:
    """What the core schema makes of a scalar.

    Raises:
        ValueError: a number that JSON cannot carry: not finite, or an integer beyond 64 bits.
    """
    text = scalar.text
    if not scalar.plain:
        return text
    if text in _NULLS:
        return None
    if text in _TRUES or text in _FALSES:
        return text in _TRUES
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return _finite(float(text), text)
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a finite number")
    return text


def _integer(text: str) -> int:
    too_long = len(text) > _LONGEST_INTEGER
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    value = 0 if too_long else int(text, base)
    if too_long or not -(2 ** (_INTEGER_BITS - 1)) <= value < 2 ** (_INTEGER_BITS - 1):
        raise ValueError(f"{text[:32]} is beyond 64 bits")
    return value


def _finite(value: float, text: str) -> float:
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:32]} is not a finite number")
    return value


def parse(text: str | bytes) -> Iterator[ParsedDocument]:
    """Cut a stream into its documents; those without content are counted and left out.

    Raises:
        YamlError: where it cannot be read on; the documents before it have been yielded.
    """
    if len(text) > MAX_BYTES:
        raise YamlError(f"larger than {MAX_BYTES // 2**20} MiB; split it into several files")
    if isinstance(text, bytes):
        text = _decode(text)
    text = text.removeprefix("\ufeff")
    composer = _Composer()
    try:
        yield from composer.documents(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        last = text.rstrip().count("\n") + 1
        raise YamlError(reason, line=min(mark.line + 1, last) if mark else 0, document=composer.number) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError("a control character, which YAML does not take", line=line) from error
    except UnicodeError as error:
        raise YamlError("not Unicode text") from error


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise YamlError("not UTF-8 text", line=line) from error


class _Open:
    """A collection whose end has not come yet."""

    __slots__ = ("anchor", "children", "is_mapping", "line", "size")

    def __init__(self, event: yaml.CollectionStartEvent, line: int) -> None:
        self.is_mapping = isinstance(event, yaml.MappingStartEvent)
        self.anchor: str | None = event.anchor
        self.children: list[Node] = []
        self.line = line
        self.size = 1

    def close(self) -> Node:
        if not self.is_mapping:
            return Items(tuple(self.children), self.line)
        keys, values = self.children[::2], self.children[1::2]
        pairs: list[tuple[Scalar, Node]] = []
        for key, value in zip(keys, values, strict=True):
            if not isinstance(key, Scalar):
                raise YamlError("a key must be text, not a list or a mapping", line=key.line)
            pairs.append((key, value))
        return Pairs(tuple(pairs), self.line)


class _Composer:
    """Builds nodes out of parser events without recursion, within the limits."""

    def __init__(self) -> None:
        self.number = 0
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int] | None] = {}
        self._nodes = 0

    def documents(self, events: Iterator[yaml.Event]) -> Iterator[ParsedDocument]:
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.number += 1
                self._anchors.clear()
                continue
            root = self._take(event)
            if root is not None and not is_null(root):
                yield ParsedDocument(self.number, root.line, root)

    def _take(self, event: yaml.Event) -> Node | None:
        """Take one event; answers the root of a document once it is whole."""
        line = event.start_mark.line + 1 if event.start_mark else 0
        try:
            match event:
                case yaml.ScalarEvent():
                    self._count(1)
                    node: Node = Scalar(event.value, line, _is_plain(event))
                    return self._place(node, 1, event.anchor)
                case yaml.AliasEvent():
                    return self._place(*self._referred(event.anchor))
                case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                    self._open(event, line)
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    closed = self._stack.pop()
                    return self._place(closed.close(), closed.size, closed.anchor)
        except YamlError as error:
            raise YamlError(error.reason, line=error.line or line, document=self.number) from None
        return None

    def _open(self, event: yaml.CollectionStartEvent, line: int) -> None:
        if event.tag not in {None, *_COLLECTION_TAGS, "!"}:
            raise YamlError(f"the tag {event.tag} is not known here")
        if len(self._stack) >= MAX_DEPTH:
            raise YamlError(f"nested more than {MAX_DEPTH} levels deep")
        self._count(1)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._stack.append(_Open(event, line))

    def _referred(self, anchor: str | None) -> tuple[Node, int]:
        if anchor is None or anchor not in self._anchors:
            raise YamlError(f"*{anchor} refers to an anchor that is not in this document")
        target = self._anchors[anchor]
        if target is None:
            raise YamlError(f"*{anchor} refers to what contains it")
        self._count(target[1])
        return target

    def _place(self, node: Node, size: int, anchor: str | None = None) -> Node | None:
        if anchor is not None:
            self._anchors[anchor] = (node, size)
        if not self._stack:
            return node
        self._stack[-1].children.append(node)
        self._stack[-1].size += size
        return None

    def _count(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise YamlError(f"more than {MAX_NODES} values (aliases count as what they stand for)")


def _is_plain(event: yaml.ScalarEvent) -> bool:
    if event.tag is None:
        return bool(event.implicit[0])
    if event.tag in _QUOTED_TAGS:
        return False
    if event.tag in _PLAIN_TAGS:
        return True
    raise YamlError(f"the tag {event.tag} is not known here")

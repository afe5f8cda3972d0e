"""Manifests: multi-document YAML, one resource a document -> resources, and back."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import msgspec

from config.decode import INVALID, Decoder
from config.errors import ManifestError, Problem
from config.resources import AnyResource, Connection
from config.resources.identity import Identity, identity
from config.wording import cut
from config.yaml import Items, Node, Pairs, ParsedDocument, Scalar, YamlError, parse
from config.yaml_write import write_documents

KINDS: Mapping[str, type[AnyResource]] = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyResource)}
"""Every kind that a manifest may hold, in the order in which resources depend on one another."""

SettingsTypes = Mapping[str, type[msgspec.Struct]]
"""Connector name -> the type of its settings, to check those of connections with."""

_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Document:
    """One resource, and where it was written: file, document (from 1) and line (from 1)."""

    resource: AnyResource
    file: str
    number: int
    line: int
    root: Node = field(repr=False, compare=False)

    @property
    def identity(self) -> Identity:
        """Kind and name of the resource."""
        return identity(self.resource)

    def problem(self, path: str, reason: str, *, warning: bool = False) -> Problem:
        """A problem of this resource, found later on, with the place where it was written."""
        return Problem(
            reason=reason,
            file=self.file,
            document=self.number,
            line=_line_of(self.root, path),
            subject=str(self.identity),
            path=path,
            warning=warning,
        )


def load(text: str | bytes, file: str = "manifest", *, settings_types: SettingsTypes | None = None) -> list[Document]:
    """Read all documents of one file.

    `settings_types` lets the settings of connections be checked by their connectors' types, which also tells where
    text is wanted; a connector that is not among them is left to whoever builds it.

    Raises:
        ManifestError: with everything that is wrong in the file.
    """
    return load_all([(file, text)], settings_types=settings_types)


def load_all(
    sources: Iterable[tuple[str, str | bytes]], *, settings_types: SettingsTypes | None = None
) -> list[Document]:
    """Read several files, given as name and text, as one manifest.

    Raises:
        ManifestError: with everything that is wrong in all of them, resources that are written twice among it.
    """
    documents: list[Document] = []
    problems: list[Problem] = []
    for file, text in sources:
        more, wrong = _read(text, file, settings_types or {})
        documents += more
        problems += wrong
    problems += duplicates(documents)
    if problems:
        raise ManifestError(problems)
    return documents


def duplicates(documents: Sequence[Document]) -> list[Problem]:
    """Resources that are written more than once, each time but the first."""
    first: dict[Identity, Document] = {}
    problems = []
    for document in documents:
        other = first.setdefault(document.identity, document)
        if other is not document:
            reason = f"{document.identity} is written twice, first in {other.file}:{other.line}"
            problems.append(document.problem("$.name", reason))
    return problems


def dump(resources: Iterable[AnyResource]) -> str:
    """Resources as a manifest that loads as the same resources; what has its default is left out."""
    return write_documents(_ordered(msgspec.to_builtins(resource)) for resource in resources)


def _ordered(fields: dict[str, Any]) -> dict[str, Any]:
    first = {name: fields[name] for name in ("kind", "app", "product", "name") if name in fields}
    return first | fields


def _read(text: str | bytes, file: str, settings_types: SettingsTypes) -> tuple[list[Document], list[Problem]]:
    documents: list[Document] = []
    problems: list[Problem] = []
    try:
        for parsed in parse(text):
            decoder = Decoder()
            resource = _resource(parsed.root, decoder, settings_types)
            problems += _located(decoder.problems, file, parsed)
            if resource is not INVALID:
                documents.append(Document(resource, file, parsed.number, parsed.line, parsed.root))
    except YamlError as error:
        problems.append(Problem(reason=error.reason, file=file, document=error.document, line=error.line))
    return documents, problems


def _located(problems: Sequence[Problem], file: str, parsed: ParsedDocument) -> list[Problem]:
    subject = _subject(parsed.root)
    in_order = sorted(problems, key=lambda problem: problem.line)
    return [dataclasses.replace(each, file=file, document=parsed.number, subject=subject) for each in in_order]


def _subject(root: Node) -> str:
    """What the document seems to be about, whatever is wrong with it."""
    texts = []
    if isinstance(root, Pairs):
        found = (root.get("kind"), root.get("name"))
        texts = [cut(node.text) for node in found if isinstance(node, Scalar) and node.text]
    return " ".join(texts)


def _resource(root: Node, decoder: Decoder, settings_types: SettingsTypes) -> Any:
    kinds = ", ".join(KINDS)
    if not isinstance(root, Pairs):
        return decoder.refuse(root, "$", f"a document is a mapping with a `kind`; known kinds: {kinds}")
    kind = root.get("kind")
    if not isinstance(kind, Scalar):
        return decoder.refuse(kind or root, "$", f"the field `kind` is missing; known kinds: {kinds}")
    if kind.text not in KINDS:
        return decoder.refuse(kind, "$.kind", f"unknown kind `{cut(kind.text)}`; known kinds: {kinds}")
    resource = decoder.build(root, KINDS[kind.text])
    if isinstance(resource, Connection) and resource.connector in settings_types:
        return _with_settings(resource, root, decoder, settings_types[resource.connector])
    return resource


def _with_settings(connection: Connection, root: Pairs, decoder: Decoder, wanted: type[msgspec.Struct]) -> Any:
    node = root.get("settings") or Pairs((), root.line)
    settings = decoder.build(node, wanted, "$.settings")
    if settings is INVALID:
        return INVALID
    written = {key.text for key, _ in node.pairs} if isinstance(node, Pairs) else set()
    values = {name: value for name, value in msgspec.to_builtins(settings).items() if name in written}
    return msgspec.structs.replace(connection, settings=values)


def _line_of(root: Node, path: str) -> int:
    """The line of the deepest node along a path."""
    node = root
    for name, index in _STEP.findall(path):
        below = None
        if isinstance(node, Pairs):
            below = node.get(name)
        elif isinstance(node, Items) and index and int(index) < len(node.items):
            below = node.items[int(index)]
        if below is None:
            break
        node = below
    return node.line

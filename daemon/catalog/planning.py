"""What a manifest would change on this instance: decided whole, before anything is changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from config.errors import ManifestError, Problem
from config.manifest import Document
from config.plan import PlannedChange
from config.plan import plan as compare
from config.references import hides
from config.resources import AnyResource, App, Connection, Mask, Task, Topic
from config.resources.identity import Identity
from config.validate import validate
from daemon.catalog.catalog import Catalog
from daemon.catalog.certificates import CertificateChecks
from daemon.catalog.issue import Issued, Issuer, generate
from daemon.catalog.secret_fields import Connectors, secret_fields, without_secrets
from daemon.catalog.statements import statement_problems
from daemon.catalog.steps import Step
from daemon.store.model import Meta, StoredResource

DEAD_LETTER_SUFFIX = ".dead"
DEAD_LETTER_TAG = "dead-letter"


def dead_letter_topic(task: str) -> str:
    """The name of the topic that takes what a task cannot write."""
    return task + DEAD_LETTER_SUFFIX


class _Wanted(NamedTuple):
    """A document, with an app's key filled in, and what became of its secrets."""

    document: Document
    issued: Issued


class Planner:
    """Compares manifests with the catalog."""

    def __init__(self, catalog: Catalog, issuer: Issuer, connectors: Connectors) -> None:
        self._catalog = catalog
        self._issuer = issuer
        self._connectors = connectors

    def plan(self, documents: Sequence[Document], now: int) -> list[Step]:
        """Each resource's step, in the order in which they are to be applied.

        Args:
            documents: the manifest; dead-letter topics of its tasks are added where they are missing, or do not mask
                what the topics that the tasks read mask.
            now: milliseconds since the epoch, for the meta of what changes.

        Raises:
            ManifestError: with all that is wrong; nothing of the manifest may be applied then.
        """
        documents = [*documents, *self._dead_letters(documents)]
        _refuse([*self._unknown_connectors(documents), *self._foreign_dead_letters(documents)])
        _refuse(list(statement_problems(documents, self._connection, self._connectors)))
        wanted = {document.identity: self._wanted(document) for document in documents}
        sound = validate([one.document for one in wanted.values()], self._catalog.resources())
        _refuse([*_refused(wanted.values()), *self._shared_codes(wanted)])
        warnings = _by_subject([*sound, *self._certificates(wanted)])
        return [
            self._step(planned, wanted[planned.identity], warnings.get(str(planned.identity), ()), now)
            for planned in self._compared(wanted)
        ]

    def settle(self, documents: Sequence[Document]) -> list[StoredResource]:
        """The documents as they would be stored, whatever they refer to; for a test of what is not stored.

        Raises:
            ManifestError: a connector is not known, or a secret cannot be used.
        """
        _refuse(list(self._unknown_connectors(documents)))
        wanted = [self._wanted(document) for document in documents]
        _refuse(list(_refused(wanted)))
        return [
            StoredResource(without_secrets(one.document.resource, self._connectors), Meta(0, 0, 0), one.issued.secrets)
            for one in wanted
        ]

    def _connection(self, name: str) -> Connection | None:
        stored = self._catalog.get(Identity("connection", name))
        return stored.resource if stored is not None and isinstance(stored.resource, Connection) else None

    def _dead_letters(self, documents: Sequence[Document]) -> Iterator[Document]:
        named = {document.identity for document in documents}
        topics = {document.identity.name: document for document in documents if isinstance(document.resource, Topic)}
        for task, document in self._tasks_of(documents, topics):
            name = Identity("topic", dead_letter_topic(task.name))
            if name in named:
                continue
            present = self._topic(name.name)
            source = topics.get(task.source.topic)
            mask = _mask(source.resource if source is not None else self._topic(task.source.topic))
            if present is None:
                letters = Topic(name=name.name, app=task.app, tags=(DEAD_LETTER_TAG,), mask=mask)
            elif DEAD_LETTER_TAG in present.tags and not hides(present.mask, mask):
                letters = msgspec.structs.replace(present, mask=_both(present.mask, mask))
            else:
                continue
            yield dataclasses.replace(document, resource=letters)

    def _tasks_of(
        self, documents: Sequence[Document], topics: Mapping[str, Document]
    ) -> Iterator[tuple[Task, Document]]:
        """The tasks that a manifest has, and those that read a topic that it has, each with its place there."""
        written = {document.identity for document in documents}
        for document in documents:
            if isinstance(document.resource, Task):
                yield document.resource, document
        for stored in self._catalog.of_kind("task"):
            task = stored.resource
            if isinstance(task, Task) and stored.identity not in written and task.source.topic in topics:
                yield task, topics[task.source.topic]

    def _topic(self, name: str) -> Topic | None:
        stored = self._catalog.get(Identity("topic", name))
        return stored.resource if stored is not None and isinstance(stored.resource, Topic) else None

    def _foreign_dead_letters(self, documents: Sequence[Document]) -> Iterator[Problem]:
        wanted = {document.identity: document.resource for document in documents}
        for document in documents:
            task = document.resource
            if not isinstance(task, Task):
                continue
            name = Identity("topic", dead_letter_topic(task.name))
            stored = self._catalog.get(name)
            topic = wanted.get(name) or (stored and stored.resource)
            if isinstance(topic, Topic) and topic.app != task.app:
                reason = f"its dead-letter topic {topic.name} is already there and belongs to app {topic.app}"
                yield document.problem("$.name", reason)

    def _unknown_connectors(self, documents: Sequence[Document]) -> Iterator[Problem]:
        for document in documents:
            one = document.resource
            if isinstance(one, Connection) and one.connector not in self._connectors:
                known = ", ".join(sorted(self._connectors)) or "none"
                yield document.problem("$.connector", f"there is no connector {one.connector}; installed: {known}")

    def _wanted(self, document: Document) -> _Wanted:
        """Decide about secrets, and keep or generate an app's key that was left out."""
        stored = self._catalog.get(document.identity)
        current = {} if stored is None else stored.secrets
        fields = secret_fields(document.resource, self._connectors, current)
        issued = self._issuer.issue(document.identity, fields, current)
        app = document.resource
        if not isinstance(app, App) or app.key is not None:
            return _Wanted(document, issued)
        key = stored.resource.key if stored is not None and isinstance(stored.resource, App) else None
        if key is None:
            # A name begins with a letter or digit, and what is generated may not.
            key = issued.generated["key"] = f"key-{generate()}"
        return _Wanted(dataclasses.replace(document, resource=msgspec.structs.replace(app, key=key)), issued)

    def _shared_codes(self, wanted: Mapping[Identity, _Wanted]) -> Iterator[Problem]:
        """An AppCode tells which app calls, so no two apps may have the same."""
        owners = {
            secret.value: stored.identity
            for stored in self._catalog.of_kind("app")
            if stored.identity not in wanted
            for name, secret in stored.secrets.items()
            if name.startswith("app_codes.")
        }
        for identity, (document, issued) in wanted.items():
            for name, secret in issued.secrets.items():
                if not name.startswith("app_codes."):
                    continue
                owner = owners.setdefault(secret.value, identity)
                if owner != identity:
                    path = f"$.app_codes[{name.removeprefix('app_codes.')}]"
                    yield document.problem(path, f"the same AppCode is already one of {owner}")

    def _certificates(self, wanted: Mapping[Identity, _Wanted]) -> list[Problem]:
        """What is odd about certificates, once nothing is wrong with them."""

        def key_of(document: Document) -> str:
            kept = wanted[document.identity].issued.secrets["private_key"]
            return self._issuer.reveal(document.identity, "private_key", kept)

        checks = CertificateChecks(key_of, self._issuer.resolve, self._catalog)
        found = list(checks.findings([document for document, _ in wanted.values()]))
        _refuse([problem for problem in found if not problem.warning])
        return found

    def _compared(self, wanted: Mapping[Identity, _Wanted]) -> list[PlannedChange]:
        existing = {stored.identity: stored.resource for stored in self._catalog if stored.identity in wanted}
        return compare(existing, [document.resource for document, _ in wanted.values()], self._open_part_differs)

    def _open_part_differs(self, existing: AnyResource, wanted: AnyResource, name: str) -> bool:
        """What is secret in these fields has been compared by the issuer."""
        return bool(getattr(existing, name) != getattr(without_secrets(wanted, self._connectors), name))

    def _step(self, planned: PlannedChange, wanted: _Wanted, warnings: tuple[str, ...], now: int) -> Step:
        issued = wanted.issued
        after = without_secrets(wanted.document.resource, self._connectors)
        before = self._catalog.get(planned.identity)
        if before is None:
            created = StoredResource(after, Meta(1, now, now), issued.secrets)
            return Step("created", None, created, generated=issued.generated, warnings=warnings)
        fields = tuple(dict.fromkeys((*planned.fields, *(name.partition(".")[0] for name in issued.changed))))
        if not fields:
            return Step("unchanged", before, before, warnings=warnings)
        return Step(
            action="changed",
            before=before,
            after=StoredResource(after, Meta(before.meta.version + 1, before.meta.created, now), issued.secrets),
            fields=fields,
            secrets=tuple(issued.changed),
            generated=issued.generated,
            warnings=warnings,
        )


def _mask(resource: AnyResource | None) -> Mask | None:
    return resource.mask if isinstance(resource, Topic) else None


def _both(one: Mask | None, other: Mask | None) -> Mask | None:
    """What hides all that either of them does."""
    if one is None or other is None:
        return one or other
    fields = tuple(dict.fromkeys((*one.fields, *other.fields)))
    return Mask(fields=fields, at="store" if "store" in {one.at, other.at} else "read")


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise ManifestError(problems)


def _refused(wanted: Iterable[_Wanted]) -> Iterator[Problem]:
    for document, issued in wanted:
        for path, reason in issued.refused:
            yield document.problem(path, reason)


def _by_subject(warnings: Sequence[Problem]) -> dict[str, tuple[str, ...]]:
    said: dict[str, tuple[str, ...]] = {}
    for warning in warnings:
        text = f"{warning.path}: {warning.reason}" if warning.path else warning.reason
        said[warning.subject] = (*said.get(warning.subject, ()), text)
    return said

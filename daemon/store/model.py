"""What the metadata store keeps, and what any store must be able to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from actors.backlog.homecoming import Homecoming
from actors.functions.runs import Run, RunChanges
from actors.gateway_route.flow.quotas import QuotaUse
from actors.gateway_route.published import Published
from actors.ports import AuditEntry
from actors.records import Confirmed, TopicPartition
from config.resources import AnyResource
from config.resources.identity import Identity, identity
from daemon.store.function_versions import FunctionEntry, FunctionVersion
from daemon.store.publications import Publication, StoredPublications, VersionEntry

SecretForm = Literal["digest", "sealed", "reference"]


class StoredSecret(NamedTuple):
    """A secret as it is kept, never plain.

    `digest`: an HMAC, good for checking only. `sealed`: encrypted text. `reference`: an encrypted `SecretReference`
    in JSON, resolved each time it is used, so that a rotated file is picked up.
    """

    form: SecretForm
    value: bytes


@dataclass(frozen=True, slots=True)
class Meta:
    """What the store adds to a resource; times are milliseconds since the epoch, the first version is 1."""

    version: int
    created: int
    updated: int


@dataclass(frozen=True, slots=True)
class StoredResource:
    """A resource without its secrets, and its secrets by field (`secret`, `app_codes.0`, `settings.password`)."""

    resource: AnyResource
    meta: Meta
    secrets: Mapping[str, StoredSecret] = field(default_factory=dict)

    @property
    def identity(self) -> Identity:
        """The name under which it is stored."""
        return identity(self.resource)


@dataclass(frozen=True, slots=True)
class Instance:
    """Who this instance is; `key_check` tells whether an instance key is the one its secrets were made with."""

    id: str
    created: int
    key_check: bytes | None


class Rejection(NamedTuple):
    """A report that was refused: when (milliseconds since the epoch), on which MQTT topic, and why."""

    at: int
    topic: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """What was last seen of a device; times are milliseconds since the epoch.

    `since` and `reason` say since when and why it is online or offline. `rejections` are the last few of `rejected`,
    newest last.
    """

    product: str
    device: str
    since: int | None = None
    reason: str = ""
    last_report: int | None = None
    reports: int = 0
    rejected: int = 0
    online: bool = False
    rejections: tuple[Rejection, ...] = ()


class Store(Protocol):
    """The metadata of an instance; every change is one transaction that is on disk when the call returns.

    Each method raises StorageError, which names the database.
    """

    async def instance(self) -> Instance:
        """Who this instance is; the id was made when the store was."""

    async def set_key_check(self, check: bytes, *, forget_secrets: bool = False) -> None:
        """Keep the check value of the instance key; `forget_secrets` deletes those made with another one."""

    async def load_all(self) -> list[StoredResource]:
        """Every resource with its secrets."""

    async def apply(
        self, puts: Sequence[StoredResource], removals: Sequence[Identity] = (), publication: Publication | None = None
    ) -> None:
        """Store, delete and publish, all or nothing.

        A resource that is put replaces the one of its name, secrets included; what was published of one that is removed
        is forgotten.
        """

    async def load_publications(self) -> StoredPublications:
        """What is served of routes, and the deployed backends and functions."""

    async def load_versions(self, route: str) -> Sequence[VersionEntry]:
        """The history of a route, the newest version first."""

    async def load_version(self, route: str, version: int) -> Published | None:
        """One version of a route, or None where it is not kept."""

    async def load_function_versions(self, name: str) -> Sequence[FunctionEntry]:
        """The history of a function, the newest version first."""

    async def load_function_version(self, name: str, version: int) -> FunctionVersion | None:
        """One version of a function, or None where it is not kept."""

    async def load_confirmed(self, group: str) -> Mapping[TopicPartition, Confirmed]:
        """The positions of a group."""

    async def save_confirmed(self, group: str, positions: Mapping[TopicPartition, Confirmed]) -> None:
        """Store positions of a group."""

    async def load_http_groups(self) -> Mapping[str, str]:
        """The groups of HTTP consumers, and the topic that each of them reads."""

    async def add_http_group(self, group: str, topic: str) -> None:
        """Remember a group of HTTP consumers; one that is known is left as it is."""

    async def delete_group(self, group: str) -> None:
        """Forget a group and its positions."""

    async def load_phases(self) -> Mapping[str, str]:
        """The phases of backlog policies by topic; of those that are idle nothing is kept."""

    async def save_phase(self, topic: str, phase: str) -> None:
        """Keep the phase of a topic's backlog policy; an empty one is forgotten."""

    async def load_homecomings(self) -> Sequence[Homecoming]:
        """How far diverted records have come home, also where nothing is left to move."""

    async def save_homecoming(self, homecoming: Homecoming) -> None:
        """Keep the places that are given."""

    async def delete_backlog(self, topic: str) -> None:
        """Forget the phase of a topic that is gone, its homecomings, and those from it."""

    async def add_audit(self, entry: AuditEntry) -> None:
        """Add to the audit log, which keeps the last few thousand entries."""

    async def load_audit(self, limit: int) -> Sequence[AuditEntry]:
        """The last entries of the audit log, the newest first."""

    async def load_device_status(self) -> list[DeviceStatus]:
        """What was last seen of each device."""

    async def save_device_status(self, statuses: Sequence[DeviceStatus]) -> None:
        """Store a batch of them; devices that are no longer resources are skipped."""

    async def load_quota_uses(self) -> Sequence[QuotaUse]:
        """What apps have used of their quotas."""

    async def save_quota_uses(self, uses: Mapping[str, QuotaUse | None]) -> None:
        """Store what apps have used; None forgets one."""

    async def load_function_runs(self) -> Mapping[str, Sequence[Run]]:
        """The last runs of each function, in the order of their numbers."""

    async def save_function_runs(self, changes: Mapping[str, RunChanges]) -> None:
        """Store and delete runs by function; those of functions that are no longer resources are skipped."""

    async def backup_into(self, folder: Path) -> Path:
        """Write a consistent copy into a folder while running; returns the file."""

    async def close(self) -> None:
        """End; nothing that was stored is lost."""

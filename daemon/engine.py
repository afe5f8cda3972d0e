"""What the control plane asks of that which runs: the one seam between the two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from actors.ports import Column, ConnectionReport
from config.resources import AnyResource, Connection
from config.resources.identity import Identity
from daemon.metrics import Metric


@dataclass(frozen=True, slots=True)
class Change:
    """One resource before and after; None where it did not exist or is gone.

    Both sides are without secrets: those are fetched from `Credentials`, which already knows the new ones. `secrets`
    names the secret fields that changed; they may be all that changed.
    """

    identity: Identity
    before: AnyResource | None
    after: AnyResource | None
    secrets: tuple[str, ...] = ()


class Engine(Protocol):
    """The running side of an instance, as the control plane sees it.

    Methods that are not coroutines answer at once from what is in memory. Coroutines raise `PenstockError` with a text
    for a person.
    """

    async def reconcile(self, changes: Sequence[Change]) -> None:
        """Make what runs follow what is stored, in dependency order; untouched resources run on undisturbed.

        Ends the sessions of devices and apps that are gone, disabled or have another secret. A resource that cannot
        run is parked as failed and shown by `status`: that is no reason to raise.
        """

    async def test_connection(self, connection: Connection) -> ConnectionReport:
        """Try a connection that need not be stored; its settings are complete, with secrets in plain text."""

    async def tables(self, name: str) -> Sequence[str]:
        """Tables and views of a stored connection."""

    async def columns(self, name: str, table: str) -> Sequence[Column]:
        """Columns of a table of a stored connection."""

    def status(self, identity: Identity) -> Mapping[str, Any]:
        """What a resource does now, ready for JSON; times are ISO 8601 in UTC. Empty for kinds that do not run."""

    async def start_task(self, name: str) -> None:
        """Start a task now, also one that is parked as failed; one that runs is left alone."""

    async def stop_task(self, name: str) -> None:
        """Stop a task after its last transaction; one that is stopped is left alone."""

    async def delete_topic_data(self, name: str) -> bool:
        """Delete the files of a topic that is no longer a resource; False where there were none."""

    async def disconnect_device(self, identity: Identity, reason: str) -> bool:
        """End the living session of a device; False where there was none."""

    async def backup(self, folder: Path) -> Mapping[str, Any]:
        """A consistent copy of the data folder into `folder`, while running; says what it holds."""

    def addresses(self) -> Mapping[str, str]:
        """Bound addresses as host:port by listener: mqtt, gateway, control."""

    def tree(self) -> Mapping[str, Any]:
        """The supervision tree: name, state, restarts, reason and children, ready for JSON."""

    def ready(self) -> tuple[bool, str]:
        """Whether devices and callers are served, and if not, why."""

    def metrics(self) -> Iterable[Metric]:
        """The numbers of this moment."""

"""An engine that runs nothing and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from actors.errors import StatementError
from actors.ports import Column, ConnectionReport
from config.resources import Connection
from config.resources.identity import Identity
from daemon.engine import Change
from daemon.metrics import Metric, Sample


class FakeEngine:
    """Implements `daemon.engine.Engine`; `crash` is raised by `reconcile` where it is set."""

    def __init__(self) -> None:
        self.reconciled: list[list[Change]] = []
        self.tested: list[Connection] = []
        self.calls: list[tuple[str, str]] = []
        self.unreachable: dict[str, str] = {}
        self.data: set[str] = set()
        self.crash: BaseException | None = None
        self.is_ready = True

    async def reconcile(self, changes: Sequence[Change]) -> None:
        self.reconciled.append(list(changes))
        if self.crash is not None:
            raise self.crash

    async def test_connection(self, connection: Connection) -> ConnectionReport:
        self.tested.append(connection)
        if connection.name in self.unreachable:
            return ConnectionReport(connected=False, problem=self.unreachable[connection.name])
        return ConnectionReport(connected=True, version="3.45", milliseconds=1.5, may_read=True, may_write=True)

    async def tables(self, name: str) -> Sequence[str]:
        return [f"{name}_table"]

    async def columns(self, name: str, table: str) -> Sequence[Column]:
        if table != f"{name}_table":
            raise StatementError(f"there is no table {table}")
        return [Column("id", "INTEGER", nullable=False, key=True)]

    def status(self, identity: Identity) -> Mapping[str, Any]:
        return {"state": "running"} if identity.kind == "task" else {}

    async def start_task(self, name: str) -> None:
        self.calls.append(("start", name))

    async def stop_task(self, name: str) -> None:
        self.calls.append(("stop", name))

    async def delete_topic_data(self, name: str) -> bool:
        self.calls.append(("delete data", name))
        known = name in self.data
        self.data.discard(name)
        return known

    async def disconnect_device(self, identity: Identity, reason: str) -> bool:
        self.calls.append(("disconnect", identity.name))
        return bool(reason)

    async def backup(self, folder: Path) -> Mapping[str, Any]:
        return {"folder": str(folder)}

    def addresses(self) -> Mapping[str, str]:
        return {"mqtt": "127.0.0.1:1883"}

    def tree(self) -> Mapping[str, Any]:
        return {"name": "root", "children": []}

    def ready(self) -> tuple[bool, str]:
        return (True, "") if self.is_ready else (False, "partitions are being recovered")

    def metrics(self) -> Iterable[Metric]:
        yield Metric("penstock_reports_total", "counter", "Reports taken.", (Sample(3, {"product": 'a"b'}),))
        yield Metric("penstock_lag_records", "gauge", "Records behind.", (Sample(1.5),))

"""The last runs of functions outlive a restart: read at the start, written now and then, and at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, Protocol

from actors.functions.runs import RunChanges, RunHistory, log_size
from daemon.journal import Journal

INTERVAL: Final = 1.0
# What one transaction takes, so that whoever else writes does not wait long for it.
RUNS: Final = 500
LOG_BYTES: Final = 1024 * 1024


class RunStore(Protocol):
    """The part of the metadata store that is needed here."""

    async def save_function_runs(self, changes: Mapping[str, RunChanges]) -> None:
        """Store and delete runs by function."""


class RunJournal(Journal):
    """Runs of functions, at most `runs` with `log_bytes` of logs in `interval` seconds; all that are left at the end.

    Calls wait for none of it: what others took the place of before its turn came is not stored, and a daemon that is
    killed forgets the last second of runs. Where there is more than goes into one round, the next goes on from there.
    """

    def __init__(
        self,
        histories: Callable[[], Sequence[tuple[str, RunHistory]]],
        store: RunStore,
        *,
        interval: float = INTERVAL,
        runs: int = RUNS,
        log_bytes: int = LOG_BYTES,
    ) -> None:
        super().__init__("runs of functions not stored, trying again", interval)
        self._histories = histories
        self._store = store
        self._runs = runs
        self._log_bytes = log_bytes
        self._turn = 0

    async def _save(self, *, last: bool) -> bool:  # noqa: ARG002 - nothing of it ever waits
        histories = self._histories()
        changes = self._due(histories)
        if not changes:
            return False
        put_back = partial(_put_back, dict(histories), changes)
        count = sum(len(one.new) for one in changes.values())
        return await self._write(self._store.save_function_runs(changes), count, put_back)

    def _due(self, histories: Sequence[tuple[str, RunHistory]]) -> dict[str, RunChanges]:
        """As much as goes into one round, from where the last one ended."""
        due: dict[str, RunChanges] = {}
        runs, log_bytes = self._runs, self._log_bytes
        start = self._turn % len(histories) if histories else 0
        for name, history in (*histories[start:], *histories[:start]):
            if runs <= 0 or log_bytes <= 0:
                break
            self._turn += 1
            changes = history.take_changes(runs, log_bytes)
            if changes is not None:
                due[name] = changes
                runs -= len(changes.new)
                log_bytes -= sum(map(log_size, changes.new))
        return due


def _put_back(histories: Mapping[str, RunHistory], changes: Mapping[str, RunChanges]) -> None:
    for name, one in changes.items():
        histories[name].put_back(one)

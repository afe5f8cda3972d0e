"""Looks at a daemon while it is overloaded: its memory, how far a group lags, and what the doctor says."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from scripts.benchmarks.idle import anonymous_kilobytes
from scripts.benchmarks.overload_judge import Outcome
from scripts.benchmarks.peers import Penstock

EVERY_SECONDS = 0.5
SLOW = "slow"
# By then every buffer has been filled once.
WARM_SHARE = 0.2


class Watch:
    """Fills the outcome in as it sees it."""

    def __init__(self, daemon: Penstock, outcome: Outcome) -> None:
        self._daemon = daemon
        self._outcome = outcome
        self._began = 0.0
        self._warm_at = 0.0
        self._loaded = threading.Event()
        self._finished = threading.Event()
        self._error: BaseException | None = None

    @contextmanager
    def over(self, seconds: float) -> Iterator[Watch]:
        """Look twice a second for as long as the block lasts, in which a load of so many seconds runs."""
        self._outcome.memory_before = self._memory()
        self._began = time.monotonic()
        self._warm_at = self._began + WARM_SHARE * seconds
        looking = threading.Thread(target=self._run)
        looking.start()
        try:
            yield self
        finally:
            self._finished.set()
            looking.join()
        self._outcome.memory_after = self._memory()
        if self._error is not None:
            raise self._error

    def end_of_load(self) -> None:
        """Producers bring nothing new: from now on only memory is of interest."""
        self._loaded.set()
        elapsed = time.monotonic() - self._began
        path = self._daemon.folder / "data" / f"{SLOW}.db"
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        (rows,) = database.execute("SELECT count(*) FROM Arrived").fetchone()
        database.close()
        self._outcome.sunk = rows / elapsed

    def _run(self) -> None:
        try:
            while not self._finished.wait(EVERY_SECONDS):
                self._look_at_memory()
                if not self._loaded.is_set():
                    self._look_at_groups()
        except BaseException as error:  # noqa: BLE001 - raised again where the block ends
            self._error = error

    def _memory(self) -> float:
        return anonymous_kilobytes(self._daemon.pid) / 1024

    def _look_at_memory(self) -> None:
        outcome, memory = self._outcome, self._memory()
        outcome.memory_most = max(outcome.memory_most, memory)
        if time.monotonic() < self._warm_at:
            outcome.memory_warm = max(outcome.memory_warm, memory)

    def _look_at_groups(self) -> None:
        outcome, control = self._outcome, self._daemon.control
        lag = control.get(f"/api/v1/groups/{SLOW}").raise_for_status().json()["lag"]
        outcome.most_lag = max(outcome.most_lag, lag)
        for group in control.get("/api/v1/backlog").raise_for_status().json()["groups"]:
            for number, cause in enumerate(group["causes"]):
                kind = cause["kind"] if group["group"] == SLOW else f"{cause['kind']} of {group['group']}"
                named = outcome.named_first if number == 0 else outcome.named_else
                named[kind] = named.get(kind, 0) + 1
                if outcome.named_after is None:
                    outcome.named_after = time.monotonic() - self._began

"""The life of the daemon process: start, signals, drain, exit codes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from enum import IntEnum
from pathlib import Path

import structlog
import trio

from actors.errors import ConfigurationError, PenstockError
from actors.runtime.child import describe
from actors.runtime.supervisor import SupervisorFailedError
from config.settings import Settings
from daemon import folder, logs, systemd
from daemon.house import House, opened
from daemon.limits import collect_garbage_rarely, raise_file_limit
from daemon.settings_in_force import SettingsInForce

log = structlog.get_logger()

# What was cut off has so long to let go of its threads.
LAST_RESORT_SECONDS = 3.0


class ExitCode(IntEnum):
    """How the daemon ends; 78 is EX_CONFIG of sysexits.h: starting again would not help."""

    DRAINED = 0
    FAILED = 1
    CONFIGURATION = 78


def run(settings: Settings, data: Path, reload: Callable[[], Settings], *, reissue_secrets: bool = False) -> int:
    """Serve until SIGTERM or SIGINT, then drain; returns the exit code.

    A second signal, or `drain_seconds`, cuts the drain off. `reload` reads the settings anew; it is called at SIGHUP.
    `reissue_secrets` accepts that the instance key is lost. What prevents a start is told in one line.
    """
    logs.configure(settings.logging)
    failures: list[BaseException] = []
    try:
        with folder.claimed(data):
            trio.run(_Life(settings, data, reload, reissue_secrets=reissue_secrets).serve)
    except* (PenstockError, OSError) as group:
        failures.extend(_leaves(group))
    return _tell(failures) if failures else ExitCode.DRAINED


def _tell(errors: list[BaseException]) -> ExitCode:
    reasons = dict.fromkeys(describe(error) for error in errors)
    sys.stderr.write(f"penstock: {'; '.join(reasons)}\n")
    configuration = any(isinstance(error, ConfigurationError) for error in errors)
    return ExitCode.CONFIGURATION if configuration else ExitCode.FAILED


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """What really happened, out of groups and of supervisors that gave up."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    elif isinstance(error, SupervisorFailedError):
        yield from _leaves(error.reason)
    else:
        yield error


class _CutOffError(PenstockError):
    """The drain did not end in time, or somebody did not want to wait for it."""


class _Life:
    """One life of the daemon."""

    def __init__(
        self, settings: Settings, data: Path, reload: Callable[[], Settings], *, reissue_secrets: bool
    ) -> None:
        self._settings = SettingsInForce(settings)
        self._data = data
        self._reload = reload
        self._reissue_secrets = reissue_secrets
        self._house: House | None = None
        self._open = trio.Event()
        self._running = trio.CancelScope()
        self._problem = ""
        self._last_resort = threading.Timer(LAST_RESORT_SECONDS, _end_hard)
        self._last_resort.daemon = True

    async def serve(self) -> None:
        """Open the house, run its tree until a signal asks for the end.

        Raises:
            PenstockError: it could not start, a part of it failed for good, or its drain was cut off.
        """
        raise_file_limit()
        collect_garbage_rarely()
        try:
            # Signals are taken from the first moment to the last: none of them has its default effect.
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._obey, signals, nursery)
                    await self._keep_house()
                    nursery.cancel_scope.cancel()
        finally:
            self._last_resort.cancel()
        if self._problem:
            raise _CutOffError(self._problem)
        log.info("daemon ended")

    @property
    def _house_now(self) -> House:
        assert self._house is not None, "there is a house once it is open"  # noqa: S101
        return self._house

    async def _keep_house(self) -> None:
        async with opened(self._settings, self._data, reissue_secrets=self._reissue_secrets) as house:
            self._house = house
            self._open.set()
            with ExitStack() as announcement, self._running:
                await house.root.run(lambda: self._announce(house, announcement))

    def _announce(self, house: House, announcement: ExitStack) -> None:
        addresses = house.addresses()
        announcement.enter_context(folder.announced(self._data, addresses, house.token))
        log.info("daemon serves", **addresses, data=str(self._data))
        systemd.notify("READY=1")

    async def _obey(self, signals: AsyncIterator[int], nursery: trio.Nursery) -> None:
        await self._open.wait()
        draining = False
        async for number in signals:
            if number == signal.SIGHUP:
                await self._house_now.renew_certificates()
                await self._house_now.reload_plugins()
                await self._read_settings_anew()
            elif not draining:
                draining = True
                self._drain(signal.Signals(number).name)
                nursery.start_soon(self._cut_off_later)
            else:
                self._cut_off(f"a second {signal.Signals(number).name} came before everything had drained")

    def _drain(self, name: str) -> None:
        log.info("daemon drains", signal=name, seconds=self._settings.now.drain_seconds)
        systemd.notify("STOPPING=1")
        self._house_now.root.stop()

    async def _cut_off_later(self) -> None:
        seconds = self._settings.now.drain_seconds
        await trio.sleep(seconds)
        self._cut_off(f"not everything had drained within drain_seconds ({seconds:g})")

    def _cut_off(self, reason: str) -> None:
        """End what has not drained by now; topics keep what was acknowledged."""
        if self._problem:
            return
        self._problem = f"cut off: {reason}; what was acknowledged is kept"
        log.warning("daemon stops without waiting any longer", reason=reason)
        self._running.cancel()
        self._last_resort.start()

    async def _read_settings_anew(self) -> None:
        """Take over what can change while running; name what cannot."""
        try:
            settings = await trio.to_thread.run_sync(self._reload)
        except ConfigurationError as error:
            log.error("settings not read anew", reason=str(error))  # noqa: TRY400 - the text says all
            return
        reloaded = self._settings.take(settings)
        logs.configure(settings.logging)
        log.info("settings read anew", changed=reloaded.changed, need_a_restart=reloaded.need_a_restart)


def _end_hard() -> None:
    """A thread that waits for a disk which does not answer cannot be cancelled, and would keep the process for ever."""
    log.error("daemon ends hard: a disk, or a library in a thread, does not answer")
    os._exit(ExitCode.FAILED)

"""The life of the daemon process: start, signals, drain, exit codes."""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from enum import IntEnum
from pathlib import Path

import structlog
import trio

from actors.errors import ConfigurationError, PenstockError
from actors.runtime.child import describe
from actors.runtime.supervisor import SupervisorFailedError
from config.load import differences
from config.settings import Settings
from daemon import folder, logs, systemd
from daemon.house import House, opened

log = structlog.get_logger()


class ExitCode(IntEnum):
    """How the daemon ends; 78 is EX_CONFIG of sysexits.h: starting again would not help."""

    DRAINED = 0
    FAILED = 1
    CONFIGURATION = 78


def run(settings: Settings, data: Path, reload: Callable[[], Settings]) -> int:
    """Serve until SIGTERM or SIGINT, then drain; returns the exit code.

    `reload` reads the settings anew; it is called at SIGHUP. What prevents a start is told in one line.
    """
    logs.configure(settings.logging)
    failures: list[BaseException] = []
    try:
        with folder.claimed(data):
            trio.run(_Life(settings, data, reload).serve)
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


class _Life:
    """One life of the daemon."""

    def __init__(self, settings: Settings, data: Path, reload: Callable[[], Settings]) -> None:
        self._settings = settings
        self._data = data
        self._reload = reload
        self._drain_seconds = settings.drain_seconds

    async def serve(self) -> None:
        """Open the house, run its tree until a signal asks for the end."""
        _raise_file_limit()
        async with opened(self._settings, self._data) as house:
            with ExitStack() as announcement:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._obey_signals, house, nursery.cancel_scope)
                    await house.root.run(lambda: self._announce(house, announcement))
                    nursery.cancel_scope.cancel()
        log.info("daemon ended")

    def _announce(self, house: House, announcement: ExitStack) -> None:
        addresses = house.addresses()
        announcement.enter_context(folder.announced(self._data, addresses, house.token))
        log.info("daemon serves", **addresses, data=str(self._data))
        systemd.notify("READY=1")

    async def _obey_signals(self, house: House, scope: trio.CancelScope) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async for number in signals:
                if number == signal.SIGHUP:
                    self._read_settings_anew()
                    continue
                log.info("daemon drains", signal=signal.Signals(number).name, seconds=self._drain_seconds)
                systemd.notify("STOPPING=1")
                house.root.stop()
                break
            with trio.move_on_after(self._drain_seconds):
                async for number in signals:
                    if number != signal.SIGHUP:
                        break
        # A second signal, or the deadline: what has not drained by now is cut off; the log keeps what was acknowledged.
        log.warning("daemon stops without waiting any longer")
        scope.cancel()

    def _read_settings_anew(self) -> None:
        """Take over what can change while running: logging and the drain's deadline; name what cannot."""
        try:
            settings = self._reload()
        except ConfigurationError as error:
            log.error("settings not read anew", reason=str(error))  # noqa: TRY400 - the text says all
            return
        logs.configure(settings.logging)
        self._drain_seconds = settings.drain_seconds
        before = {one.path: one.value for one in differences(self._settings)}
        after = {one.path: one.value for one in differences(settings)}
        changed = sorted(path for path in before | after if before.get(path) != after.get(path))
        live = ("logging.", "drain_seconds")
        waiting = [path for path in changed if not path.startswith(live)]
        log.info("settings read anew", changed=changed, need_a_restart=waiting)


def _raise_file_limit() -> None:
    """Take as many file descriptors as may be had: each device and each segment needs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

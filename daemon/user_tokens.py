"""Tokens for users who show their passwords."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import time
from typing import NamedTuple

import structlog
import trio

from actors.directory.users import Users
from actors.errors import PenstockError
from daemon.passwords import NOBODY, is_password

log = structlog.get_logger()

# Each takes a core for a tenth of a second, and 64 MiB; nobody waits behind more of them than a person would.
_AT_A_TIME = 1
_WAITING = 8
_LONGEST_PASSWORD = 4096


class LoginError(PenstockError):
    """Name and password do not go together, or too many have tried; it does not say which of it."""


class LoginBusyError(PenstockError):
    """As many are being logged in as may wait."""


class UserToken(NamedTuple):
    """A token, and the second since the epoch at which it ends."""

    token: str
    expires: int


class UserTokens:
    """Issues tokens; five failures lock a user for five minutes (see Lockout). `seconds` is how long a token lasts."""

    def __init__(self, users: Users, seconds: int, clock: Callable[[], float] = time) -> None:
        self._users = users
        self._seconds = seconds
        self._clock = clock
        self._threads = trio.CapacityLimiter(_AT_A_TIME)

    async def issue(self, name: str, password: str) -> UserToken:
        """A token for whoever knows the password.

        Raises:
            LoginError: there is no such user, or they are disabled or locked, or it is not the password.
            LoginBusyError: too many wait already.
        """
        if self._threads.statistics().tasks_waiting >= _WAITING:
            raise LoginBusyError("too many are logging in at this moment; try again")
        user = self._users.get(name)
        hashed = user.password if user is not None else ""
        check = partial(is_password, hashed or NOBODY, password[:_LONGEST_PASSWORD])
        matched = await trio.to_thread.run_sync(check, limiter=self._threads)
        now = self._clock()
        if user is None or not hashed or self._users.get(name) != user:
            raise _refused()
        # Looked at after the work, so that those who tried at the same moment count one after the other.
        if self._users.passwords.locked_for(name, now):
            raise _refused()
        if not matched or len(password) > _LONGEST_PASSWORD:
            self._users.passwords.failed(name, now)
            if self._users.passwords.locked_for(name, now):
                log.warning("a user is locked after too many failures", user=name)
            raise _refused()
        self._users.passwords.passed(name)
        if not user.enabled:
            raise _refused()
        expires = int(now) + self._seconds
        return UserToken(self._users.issue(user, expires), expires)


def _refused() -> LoginError:
    return LoginError(
        "name and password do not go together, or the user is disabled, or locked for five minutes after five failures"
    )

"""Calls functions for routes: what goes wrong is told to the operator, and to callers only what is theirs to know."""

from __future__ import annotations

from typing import Any

from actors.errors import (
    FunctionBusyError,
    FunctionError,
    FunctionLostError,
    FunctionMissingError,
    FunctionTimeoutError,
)
from actors.functions.failures import Failures
from actors.functions.messages import FunctionCalls
from actors.http_calls.errors import (
    BACKEND_TIMEOUT,
    BACKEND_UNAVAILABLE,
    BUSY,
    INTERNAL,
    NO_BACKEND,
    CallRefusedError,
    GatewayError,
)
from actors.runtime.log_limiter import LogLimiter

_LONGEST = 500
_BACKEND = "backend"


class RouteFunction:
    """One function in one place of a route; `use` says which: it is what callers hear where it fails.

    The function is looked up call by call: it may be deployed anew, or be gone, while the route stays.
    """

    __slots__ = ("_app", "_called_by", "_failures", "_functions", "_log", "_route", "_use", "_where", "name")

    def __init__(
        self,
        functions: FunctionCalls,
        name: str,
        app: str,
        *,
        route: str,
        use: str,
        log: LogLimiter,
        failures: Failures,
        where: str = "",
        called_by: str = "",
    ) -> None:
        """`app` calls it; what of the app does is the route, where it is not `called_by` something else.

        `failures` are told `where`, which is the use, unless they are known by something else.
        """
        self.name = name
        self._functions = functions
        self._app = app
        self._called_by = called_by or f"route {route}"
        self._route = route
        self._use = use
        self._log = log
        self._failures = failures
        self._where = where or use or _BACKEND

    async def __call__(self, data: Any) -> Any:
        """What the function answers.

        Raises:
            CallRefusedError: it brought no answer.
        """
        try:
            return await self._functions.call(self.name, data, self._app, self._called_by)
        except FunctionError as error:
            raise self._refused(_error_of(error), error.reason, str(error)) from error

    def refuse(self, reason: str) -> CallRefusedError:
        """What it answered cannot be used."""
        return self._refused(INTERNAL, reason, f"function {self.name}: {reason}")

    def _refused(self, error: GatewayError, reason: str, told: str) -> CallRefusedError:
        self._failures.add(self.name, reason, self._where)
        self._log.warning(
            "Function of a route failed",
            route=self._route,
            function=self.name,
            use=self._use or _BACKEND,
            reason=told[:_LONGEST],
        )
        return CallRefusedError(error, self._use, reason=told[:_LONGEST])


def _error_of(error: FunctionError) -> GatewayError:
    match error:
        case FunctionBusyError():
            return BUSY
        case FunctionTimeoutError():
            return BACKEND_TIMEOUT
        case FunctionLostError():
            return BACKEND_UNAVAILABLE
        case FunctionMissingError():
            return NO_BACKEND
        case _:
            return INTERNAL

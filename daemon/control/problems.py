"""Every error of the control API in one shape: `{"error_code", "error_msg", "request_id", "details"}`."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from quart import Response, g
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from actors.errors import (
    ConfigurationError,
    ConnectorError,
    GroupBusyError,
    GroupConflictError,
    HomecomingError,
    OffsetOutOfRangeError,
    PenstockError,
    StatementError,
)
from config.errors import ManifestError, Problem
from daemon.catalog.errors import InUseError, NotFoundError, UnreachableError, VersionConflictError
from daemon.publishing.backend_routes import ForeignRouteError
from daemon.publishing.resolve import UnpublishableError
from daemon.publishing.trial import TrialError

log = structlog.get_logger()

JSON = "application/json"


class RequestError(PenstockError):
    """A request that the API does not take; `details` say which part of it and why."""

    def __init__(
        self, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST, details: Sequence[dict[str, Any]] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.details = tuple(details)


# The numbers are those of the gateway where they mean the same.
_CODES = {
    HTTPStatus.UNAUTHORIZED: "APIC.0301",
    HTTPStatus.FORBIDDEN: "APIC.0302",
    HTTPStatus.NOT_FOUND: "APIC.0101",
    HTTPStatus.INTERNAL_SERVER_ERROR: "APIC.0601",
    HTTPStatus.BAD_GATEWAY: "APIC.0202",
    HTTPStatus.SERVICE_UNAVAILABLE: "APIC.0308",
    HTTPStatus.CONFLICT: "APIC.0602",
    HTTPStatus.PRECONDITION_FAILED: "APIC.0602",
    HTTPStatus.UNPROCESSABLE_ENTITY: "APIC.0202",
}
_BAD_REQUEST = "APIC.0201"

_STATUS: Sequence[tuple[type[PenstockError], HTTPStatus]] = (
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (InUseError, HTTPStatus.CONFLICT),
    (ForeignRouteError, HTTPStatus.CONFLICT),
    (UnpublishableError, HTTPStatus.CONFLICT),
    (TrialError, HTTPStatus.BAD_REQUEST),
    (GroupBusyError, HTTPStatus.CONFLICT),
    (GroupConflictError, HTTPStatus.CONFLICT),
    (HomecomingError, HTTPStatus.CONFLICT),
    (OffsetOutOfRangeError, HTTPStatus.BAD_REQUEST),
    (VersionConflictError, HTTPStatus.PRECONDITION_FAILED),
    (UnreachableError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (ConfigurationError, HTTPStatus.BAD_REQUEST),
    (StatementError, HTTPStatus.NOT_FOUND),
    (ConnectorError, HTTPStatus.BAD_GATEWAY),
)


def answer(value: Any, status: int = HTTPStatus.OK, headers: dict[str, str] | None = None) -> Response:
    """A value as JSON."""
    return Response(msgspec.json.encode(value), status, headers, content_type=JSON)


def problem(
    status: int, message: str, details: Sequence[dict[str, Any]] = (), headers: dict[str, str] | None = None
) -> Response:
    """An error in the one shape."""
    body = {
        "error_code": _CODES.get(HTTPStatus(status), _BAD_REQUEST),
        "error_msg": message,
        "request_id": g.get("request_id", ""),
        "details": list(details),
    }
    return answer(body, status, headers)


def install(app: QuartTrio) -> None:
    """Make every error of `app` an answer in the one shape; what nobody foresaw is logged and told as 500."""
    # Coroutines all of them: Quart would run plain functions in a thread.
    app.register_error_handler(RequestError, _request_error)
    app.register_error_handler(ManifestError, _manifest_error)
    app.register_error_handler(PenstockError, _penstock_error)
    app.register_error_handler(HTTPException, _http_exception)
    app.register_error_handler(Exception, _crash)


async def _request_error(error: RequestError) -> Response:
    return problem(error.status, str(error), error.details)


async def _manifest_error(error: ManifestError) -> Response:
    count = len(error.problems)
    message = "the manifest has one problem" if count == 1 else f"the manifest has {count} problems"
    return problem(HTTPStatus.BAD_REQUEST, f"{message}; nothing was changed", [_detail(one) for one in error.problems])


def _detail(one: Problem) -> dict[str, Any]:
    return {
        "path": one.place,
        "reason": one.reason,
        "file": one.file,
        "document": one.document,
        "line": one.line,
        "subject": one.subject,
        "field": one.path,
    }


async def _penstock_error(error: PenstockError) -> Response:
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return problem(status, str(error), _details(error))
    log.warning("a request failed", reason=str(error), request_id=g.get("request_id", ""))
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))


def _details(error: PenstockError) -> list[dict[str, Any]]:
    match error:
        case InUseError():
            return [{"path": str(one), "reason": "refers to it"} for one in error.referrers]
        case UnreachableError():
            return [{"path": str(one), "reason": report.problem} for one, report in error.reports]
        case UnpublishableError():
            return [{"path": error.path, "reason": str(error)}]
        case _:
            return []


async def _http_exception(error: HTTPException) -> Response:
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    allowed = getattr(error, "valid_methods", None)
    headers = {"Allow": ", ".join(sorted(allowed))} if allowed else None
    return problem(status, error.description or HTTPStatus(status).phrase, headers=headers)


async def _crash(error: Exception) -> Response:
    request_id = g.get("request_id", "")
    log.error("a control request crashed", request_id=request_id, exc_info=error)
    message = f"the daemon could not answer because of a fault of its own; its log says more under {request_id}"
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, message)

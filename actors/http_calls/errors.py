"""The table of the gateway's errors: code, message and HTTP status, and the one shape in which callers see them."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from actors.errors import PenstockError
from actors.wire.http.checks import METHODS
from actors.wire.http.messages import HeaderFields, Response


@dataclass(frozen=True, slots=True)
class GatewayError:
    """One row of the table."""

    code: str
    message: str
    status: int


# The numbers of the field's API gateways; callers' programs already tell them apart by these.
PUBLISHED = tuple(
    GatewayError(f"APIC.{number}", message, status)
    for number, message, status in (
        ("0101", "The API does not exist or has not been published in the environment.", 404),
        ("0101", "The API does not exist.", 404),
        ("0103", "The backend does not exist.", 500),
        ("0104", "The plug-ins do not exist.", 500),
        ("0105", "The backend configurations do not exist.", 500),
        ("0106", "Orchestration error.", 400),
        ("0107", "The custom lua script encountered an unexpected error", 500),
        ("0201", "API request error.", 400),
        ("0201", "Request entity too large.", 413),
        ("0201", "Request URI too large.", 414),
        ("0201", "Request headers too large.", 494),
        ("0201", "Backend unavailable.", 502),
        ("0201", "Backend timeout.", 504),
        ("0201", "An unexpected error occurred", 500),
        ("0202", "Backend unavailable", 502),
        ("0203", "Backend timeout", 504),
        ("0204", "SSL protocol is not supported: TLSv1.1", 400),
        ("0205", "Verify client certificate failed", 400),
        ("0301", "Incorrect IAM authentication information.", 401),
        ("0302", "The IAM user is not authorized to access the API.", 403),
        ("0303", "Incorrect app authentication information.", 401),
        ("0304", "The app is not authorized to access the API.", 403),
        ("0305", "Incorrect authentication information.", 401),
        ("0306", "API access denied.", 403),
        ("0307", "The token must be updated.", 401),
        ("0308", "The throttling threshold has been reached.", 429),
        ("0310", "The project is unavailable.", 403),
        ("0311", "Incorrect debugging authentication information.", 401),
        ("0312", "Incorrect third-party authentication information,auth fail", 401),
        ("0313", "Incorrect third-party authentication information,identities error", 401),
        ("0314", "Incorrect third-party authentication information,access deny", 403),
        ("0401", "Unknown client IP address.", 403),
        ("0402", "The IP address is not authorized to access the API.", 403),
        ("0404", "Access to the backend IP address has been denied.", 403),
        ("0405", "The app is not accessed from a trusted IP address.", 403),
        ("0501", "The app quota has been used up.", 405),
        ("0502", "The app has been frozen.", 405),
        ("0601", "Internal server error.", 500),
        ("0602", "Bad request.", 400),
        ("0605", "Domain name resolution failed.", 500),
        ("0606", "Failed to load the API configurations.", 500),
        ("0607", "The following protocol is supported: {xxx}", 400),
        ("0608", "Failed to obtain the admin token.", 500),
        ("0609", "The VPC backend does not exist.", 500),
        ("0610", "No backend available.", 502),
        ("0611", "The backend port does not exist.", 500),
        ("0612", "An API cannot call itself.", 500),
        ("0613", "The IAM service is currently unavailable.", 503),
        ("0615", "Incorrect third-party authentication VPC information", 500),
        ("0616", "Incorrect third-party authentication request information", 500),
        ("0617", "Incorrect third-party authentication response information", 500),
        ("0705", "Backend signature calculation failed.", 500),
        ("0802", "The IAM user is forbidden in the currently selected region", 403),
    )
)

# 0201 is the family of what is wrong with a request as such; the statuses that the published table lacks join it.
OWN = tuple(
    GatewayError("APIC.0201", message, status)
    for message, status in (
        ("Method not allowed.", 405),
        ("Request timeout.", 408),
        ("The encoding of the body is not supported.", 415),
        ("Expectation failed.", 417),
        ("Misdirected request.", 421),
        ("Method not implemented.", 501),
        ("The API is busy.", 503),
    )
)


def find(code: str, status: int) -> GatewayError:
    """The row of that code and status; where there are two, the first."""
    return next(error for error in PUBLISHED + OWN if error.code == code and error.status == status)


def _open(error: GatewayError) -> GatewayError:
    """A row whose message ends in a placeholder, for the detail to take its place."""
    return GatewayError(error.code, error.message.partition(":")[0], error.status)


NO_ROUTE = find("APIC.0101", 404)
NO_BACKEND = find("APIC.0103", 500)
BAD_REQUEST = find("APIC.0201", 400)
METHOD_NOT_ALLOWED = find("APIC.0201", 405)
MISDIRECTED = find("APIC.0201", 421)
UNSUPPORTED_ENCODING = find("APIC.0201", 415)
UNEXPECTED = find("APIC.0201", 500)
BUSY = find("APIC.0201", 503)
BACKEND_UNAVAILABLE = find("APIC.0202", 502)
BACKEND_TIMEOUT = find("APIC.0203", 504)
BAD_USER = find("APIC.0301", 401)
BAD_APP = find("APIC.0303", 401)
APP_NOT_AUTHORIZED = find("APIC.0304", 403)
BAD_TOKEN = find("APIC.0305", 401)
ACCESS_DENIED = find("APIC.0306", 403)
TOKEN_EXPIRED = find("APIC.0307", 401)
THROTTLED = find("APIC.0308", 429)
QUOTA_USED_UP = find("APIC.0501", 405)
UNKNOWN_ADDRESS = find("APIC.0401", 403)
ADDRESS_NOT_AUTHORIZED = find("APIC.0402", 403)
INTERNAL = find("APIC.0601", 500)
NOT_LOADED = find("APIC.0606", 500)
PROTOCOL = _open(find("APIC.0607", 400))
KEYS_UNAVAILABLE = find("APIC.0613", 503)

# The published messages for these say it all; the reason adds something to the others.
_SAID_BY_MESSAGE = frozenset({413, 414, 494, 500})
_SERVED = ", ".join(sorted(METHODS))
_BY_STATUS = {error.status: error for error in PUBLISHED + OWN if error.code == "APIC.0201"}


def error_of_status(status: int) -> GatewayError:
    """The error for a request that was refused before it came to a route."""
    return _BY_STATUS.get(status, BAD_REQUEST)


def malformed_response(status: int, reason: str, request_id: str) -> Response:
    """The answer to what never became a request: malformed, too large, too slow, or of a method nobody serves."""
    detail = "" if status in _SAID_BY_MESSAGE else reason
    headers = (("Allow", _SERVED),) if status == METHOD_NOT_ALLOWED.status else ()
    return error_response(error_of_status(status), request_id, detail, headers)


class CallRefusedError(PenstockError):
    """A call that ends with one of the gateway's errors.

    `detail` is added to the message: it is for the caller, so nothing of what lies behind the gateway may be in it.
    `reason` is for operators, who test a route.
    """

    def __init__(self, error: GatewayError, detail: str = "", headers: HeaderFields = (), *, reason: str = "") -> None:
        super().__init__(detail or error.message)
        self.error = error
        self.detail = detail
        self.headers = headers
        self.reason = reason


def error_response(error: GatewayError, request_id: str, detail: str = "", headers: HeaderFields = ()) -> Response:
    """`{"error_code": ..., "error_msg": ..., "request_id": ...}` with the error's status; 503 says when to retry."""
    if error.status == BUSY.status and not any(name == "Retry-After" for name, _ in headers):
        headers = (*headers, ("Retry-After", "1"))
    message = f"{error.message.removesuffix('.')}: {detail}" if detail else error.message
    body = {"error_code": error.code, "error_msg": message, "request_id": request_id}
    return Response(error.status, (("Content-Type", "application/json"), *headers), msgspec.json.encode(body))

"""The control API as the command line uses it: finds the daemon, and turns its problems into one clear line."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx
import msgspec

from daemon.cli.failure import CommandError, ExitCode, RefusedError
from daemon.folder import DaemonNote

_PAGE = 500
_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
# A backup takes as long as its bytes take.
_NO_HURRY = httpx.Timeout(None, connect=5.0)


def connect(data: Path, url: str | None, environ: Mapping[str, str] = os.environ, *, anonymous: bool = False) -> Client:
    """A client of the daemon at `url`, or of the local one that uses the data folder.

    One that is anonymous shows no token, for what asks for none.

    Raises:
        CommandError: no daemon was found, or no token.
    """
    token = "" if anonymous else environ.get("PENSTOCK_TOKEN", "")
    if url is not None:
        if not token and not anonymous:
            raise CommandError("--url needs a token: set PENSTOCK_TOKEN", ExitCode.USAGE)
        return Client(url, token, where=url, token_source="PENSTOCK_TOKEN")  # noqa: S106 - the name of a variable
    note = _read_note(data)
    where = f"{note.control} (process {note.pid}, data folder {data})"
    source = "PENSTOCK_TOKEN" if token else f"{data}/daemon.json"
    url = f"http://{_reachable(note.control)}"
    return Client(url, "" if anonymous else token or note.token, where=where, token_source=source, data=data)


def _read_note(data: Path) -> DaemonNote:
    path = data / "daemon.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=DaemonNote)
    except FileNotFoundError:
        raise CommandError(
            f"no daemon runs on the data folder {data}: start one with `penstock run --data {data}`, give another "
            "folder with --data or PENSTOCK_DATA, or name a daemon with --url",
            ExitCode.UNREACHABLE,
        ) from None
    except OSError as error:
        raise CommandError(
            f"{path} cannot be read ({error.strerror}): run this as the user that the daemon runs as, or give --url "
            "and PENSTOCK_TOKEN",
            ExitCode.UNREACHABLE,
        ) from error
    except msgspec.DecodeError as error:
        raise CommandError(f"{path} is not what a daemon writes: {error}", ExitCode.UNREACHABLE) from error


def _reachable(address: str) -> str:
    """Where to connect to for a bound address: one that stands for all interfaces is reached on loopback."""
    host, _, port = address.rpartition(":")
    try:
        ip = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return address
    if ip.is_unspecified:
        ip = ipaddress.ip_address("127.0.0.1" if isinstance(ip, ipaddress.IPv4Address) else "::1")
    return f"[{ip}]:{port}" if isinstance(ip, ipaddress.IPv6Address) else f"{ip}:{port}"


class _Problem(msgspec.Struct):
    """The control API's one shape of an error; the gateway's has no details."""

    error_msg: str
    details: list[dict[str, Any]]


class WebSocketCall(NamedTuple):
    """Where a WebSocket is opened, and what goes with the request: the token."""

    url: str
    headers: Mapping[str, str]


class Client:
    """One connection to one control API. Each method raises CommandError with a text for a person."""

    def __init__(self, url: str, token: str, *, where: str, token_source: str, data: Path | None = None) -> None:
        self._where = where
        self._token_source = token_source
        self._data = data
        try:
            self._http = httpx.Client(
                base_url=url.rstrip("/"),
                headers={"Authorization": f"Bearer {token}"} if token else {},
                timeout=_TIMEOUT,
                trust_env=data is None,  # no proxy stands between a command and the daemon of this machine
                # Nor is it reached by TLS: to read whom the world trusts would take longer than to ask.
                verify=True if data is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            )
        except (httpx.InvalidURL, UnicodeError) as error:
            raise CommandError(f"{url} is not a URL: {error}", ExitCode.USAGE) from error

    def __enter__(self) -> Self:
        """For `with`: the connection is closed at its end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._http.close()

    @property
    def url(self) -> str:
        """Where it connects to."""
        return str(self._http.base_url).rstrip("/")

    def get(self, path: str, **parameters: Any) -> Any:
        """GET below /api/v1."""
        return self._ask("GET", path, params=parameters)

    def get_text(self, path: str) -> str:
        """GET something below /api/v1 that is not JSON."""
        return self._answered("GET", path, params={}).text

    def delete(self, path: str, **parameters: Any) -> Any:
        """DELETE below /api/v1."""
        return self._ask("DELETE", path, params=parameters)

    def post(self, path: str, body: Any = None, **parameters: Any) -> Any:
        """POST below /api/v1, `body` as JSON."""
        return self._ask("POST", path, params=parameters, json=body, timeout=_NO_HURRY)

    def post_manifest(self, path: str, text: str, file: str, **parameters: Any) -> Any:
        """POST a manifest below /api/v1; `file` is what its problems are told about."""
        headers = {"Content-Type": "application/yaml", "X-Penstock-File": file.encode("ascii", "replace").decode()}
        return self._ask("POST", path, params=parameters, content=text.encode(), headers=headers, timeout=_NO_HURRY)

    def web_socket(self, path: str, parameters: Mapping[str, str]) -> WebSocketCall:
        """How to open a WebSocket below /api/v1."""
        url = self._http.build_request("GET", f"/api/v1/{path}", params=parameters).url
        scheme = "wss" if url.scheme == "https" else "ws"
        return WebSocketCall(str(url.copy_with(scheme=scheme)), {"Authorization": self._http.headers["Authorization"]})

    def refusal(self, status: int, content: bytes) -> CommandError:
        """Why the daemon refused, out of an answer's status and body."""
        return self._refusal(httpx.Response(status, content=content))

    def unreachable(self, error: BaseException) -> CommandError:
        """The daemon cannot be reached, or is there no more."""
        return self._unreachable(error)

    def items(self, kind: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Every resource of a kind, page after page; `parameters` that are None are left out."""
        page = seen = 0
        while True:
            page += 1
            answer = self.get(f"{kind}s", page=page, size=_PAGE, **parameters)
            yield from answer["items"]
            seen += len(answer["items"])
            if not answer["items"] or seen >= answer["total"]:
                return

    def _ask(self, method: str, path: str, *, params: Mapping[str, Any], **more: Any) -> Any:
        return self._decoded(self._answered(method, path, params=params, **more))

    def _answered(self, method: str, path: str, *, params: Mapping[str, Any], **more: Any) -> httpx.Response:
        set_ones = {
            name: _parameter(value) for name, value in params.items() if value is not None and value is not False
        }
        try:
            answer = self._http.request(method, f"/api/v1/{path}", params=set_ones, **more)
        except httpx.UnsupportedProtocol as error:
            raise CommandError(f"{self._where} is not the URL of a control API: {error}", ExitCode.USAGE) from error
        except httpx.TimeoutException as error:
            raise CommandError(f"the daemon at {self._where} does not answer in time", ExitCode.UNREACHABLE) from error
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if answer.is_success:
            return answer
        raise self._refusal(answer)

    def _unreachable(self, error: BaseException) -> CommandError:
        reason = str(error) or type(error).__name__
        start = f"; start it with `penstock run --data {self._data}`" if self._data is not None else ""
        return CommandError(f"the daemon at {self._where} cannot be reached: {reason}{start}", ExitCode.UNREACHABLE)

    def _decoded(self, answer: httpx.Response) -> Any:
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError:
            reason = f"{self._where} does not answer as a control API does; is that the right address?"
            raise CommandError(reason, ExitCode.UNREACHABLE) from None

    def _refusal(self, answer: httpx.Response) -> CommandError:
        if answer.status_code == httpx.codes.UNAUTHORIZED and "Authorization" in self._http.headers:
            return CommandError(f"the daemon at {self._where} does not take the token of {self._token_source}")
        try:
            body = msgspec.json.decode(answer.content, type=_Problem)
        except msgspec.DecodeError:
            said = f"{answer.status_code} {answer.reason_phrase}".rstrip()
            return CommandError(
                f"{self._where} answers {said}, and not as a control API does; is that the right address?"
            )
        return RefusedError(body.error_msg, body.details)


def _parameter(value: Any) -> str:
    return "true" if value is True else str(value)

"""What requests say: kinds and names in paths, pages, flags, versions, bodies."""

from __future__ import annotations

import re
from collections.abc import Collection
from http import HTTPStatus
from typing import Any, NamedTuple, NoReturn

import msgspec
from quart import request

from config.manifest import KINDS
from config.resources.identity import Identity
from daemon.control.problems import RequestError

MANIFEST_TYPES = (
    "application/yaml",
    "application/x-yaml",
    "text/yaml",
    "text/x-yaml",
    "application/json",
    "text/plain",
)
DEFAULT_SIZE = 100
MAX_SIZE = 1000
_PLURALS = {f"{kind}s": kind for kind in KINDS}
# As many digits as a version can have: a longer one is none of ours.
_TAG = re.compile(r'"([0-9]{1,18})"')


class Page(NamedTuple):
    """Which part of a list; pages count from 1."""

    number: int
    size: int

    @property
    def start(self) -> int:
        """The index of its first item."""
        return (self.number - 1) * self.size


def kind_of(plural: str) -> str:
    """The kind that a path's plural stands for."""
    kind = _PLURALS.get(plural)
    if kind is None:
        message = f"there is no kind {plural}; there are {', '.join(sorted(_PLURALS))}"
        raise RequestError(message, HTTPStatus.NOT_FOUND)
    return kind


def target_of(plural: str, name: str) -> Identity:
    """The resource that a path names."""
    return Identity(kind_of(plural), name)


def page() -> Page:
    """`page` and `size` of the query."""
    return Page(_number("page", 1, 1_000_000), _number("size", DEFAULT_SIZE, MAX_SIZE))


def flag(name: str) -> bool:
    """A boolean of the query; absent means false."""
    text = request.args.get(name, "false")
    if text not in ("true", "false"):
        _refuse(name, f"expected true or false, got {text!r}")
    return text == "true"


def only(known: Collection[str]) -> None:
    """Refuse query parameters that mean nothing here, so that a typing mistake does not pass for an answer."""
    for name in request.args:
        if name not in known:
            takes = f"; it takes {', '.join(sorted(known))}" if known else ""
            _refuse(name, f"this endpoint knows no such query parameter{takes}")


def versions() -> tuple[int, ...] | None:
    """The versions of If-Match (RFC 9110 13.1.1): None without the header, empty for `*` (any that exists)."""
    header = request.headers.get("If-Match")
    if header is None:
        return None
    if header.strip() == "*":
        return ()
    found = tuple(int(digits) for digits in _TAG.findall(header))
    # A tag that is none of ours matches nothing.
    return found or (0,)


def etag(version: int) -> str:
    """The entity tag of a version."""
    return f'"{version}"'


async def manifest() -> bytes:
    """The manifest in the body."""
    _typed(MANIFEST_TYPES)
    return _bytes(await request.get_data(as_text=False))


async def json_body() -> dict[str, Any]:
    """The JSON object in the body."""
    _typed(("application/json",))
    data = _bytes(await request.get_data(as_text=False))
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise RequestError("the body must be a JSON object")
    return body


def _bytes(data: bytes | str) -> bytes:
    return data if isinstance(data, bytes) else data.encode()


def _typed(takes: Collection[str]) -> None:
    found = request.mimetype
    if found and found not in takes:
        message = f"the body has Content-Type {found}; this endpoint takes {', '.join(takes)}"
        raise RequestError(message, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


def _number(name: str, default: int, most: int) -> int:
    text = request.args.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > len(str(most)) or not 1 <= int(text) <= most:
        _refuse(name, f"expected a number from 1 to {most}, got {text!r}")
    return int(text)


def _refuse(name: str, reason: str) -> NoReturn:
    raise RequestError(f"the query parameter {name} cannot be used", details=[{"path": f"?{name}", "reason": reason}])

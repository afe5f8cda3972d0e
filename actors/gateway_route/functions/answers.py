"""What functions answer, as answers of HTTP. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from actors.http_calls.request_ids import HEADER
from actors.wire.http.messages import HeaderFields, Response
from actors.wire.http.responses import check_header, has_body

_FIELDS = frozenset({"status", "headers", "body", "base64"})
_LOWEST, _HIGHEST = 200, 599
# Below this a number is no status of HTTP at all, so that `{"status": 1}` is what a function has to say of a lamp.
_FIRST = 100
_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"
_BYTES = "application/octet-stream"


class UnusableAnswerError(ValueError):
    """What a function answered makes no answer of HTTP; says why."""


def is_whole(value: Any) -> bool:
    """Whether a function answers with status, headers and body, and not with a value that is the body itself."""
    if not isinstance(value, dict) or not value.keys() <= _FIELDS:
        return False
    status = value.get("status")
    return isinstance(status, int) and not isinstance(status, bool) and status >= _FIRST


def response_of(value: Any, *, headers: HeaderFields = ()) -> Response:
    """`{"status": ..., "headers": {...}, "body": ..., "base64": ...}` as an answer; any other JSON value is a body.

    A body that is text is sent as it is, or decoded where `base64` is true; anything else is sent as JSON. `headers`
    are those of an answer that says nothing of them, but for its Content-Type.

    Raises:
        UnusableAnswerError: a status, a header or a body that cannot be sent.
    """
    if not is_whole(value):
        return Response(200, _with_type(headers, _JSON), msgspec.json.encode(value))
    status = value["status"]
    if not _LOWEST <= status <= _HIGHEST:
        raise UnusableAnswerError(f"status {status} is not from {_LOWEST} to {_HIGHEST}")
    body, media_type = _body(value.get("body"), is_base64=value.get("base64", False))
    if body and not has_body(status):
        raise UnusableAnswerError(f"an answer of status {status} has no body")
    given = value.get("headers")
    fields = _without_type(headers) if given is None else tuple(_headers(given))
    return Response(status, _with_type(fields, media_type) if body else fields, body)


def _body(body: Any, *, is_base64: Any) -> tuple[bytes, str]:
    if not isinstance(is_base64, bool):
        raise UnusableAnswerError("`base64` is neither true nor false")
    if is_base64:
        if not isinstance(body, str):
            raise UnusableAnswerError("`base64` is true, and `body` is no text")
        try:
            return base64.b64decode(body, validate=True), _BYTES
        except (binascii.Error, ValueError):
            raise UnusableAnswerError("`base64` is true, and `body` is no base64") from None
    if body is None:
        return b"", _TEXT
    if isinstance(body, str):
        return body.encode(errors="replace"), _TEXT
    return msgspec.json.encode(body), _JSON


def _headers(given: Any) -> Iterator[tuple[str, str]]:
    """A name has a value, or a list of values, each of which is a header of its own."""
    if not isinstance(given, Mapping):
        raise UnusableAnswerError("`headers` is no object")
    for name, values in given.items():
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                raise UnusableAnswerError(f"the value of header {name!r} is neither text nor a number")
            text = str(value)
            try:
                check_header(name, text)
            except ValueError as error:
                raise UnusableAnswerError(f"a header cannot be sent: {error}") from None
            if name.lower() == HEADER.lower():
                raise UnusableAnswerError(f"the header {name} is set by the gateway itself")
            yield name, text


def _without_type(headers: HeaderFields) -> HeaderFields:
    return tuple(one for one in headers if one[0].lower() != "content-type")


def _with_type(headers: HeaderFields, media_type: str) -> HeaderFields:
    """With a Content-Type, unless it has one."""
    if any(name.lower() == "content-type" for name, _ in headers):
        return headers
    return (("Content-Type", media_type), *headers)

"""The parameters of a call, out of its path, its query string and its body."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import msgspec

from actors.gateway_route.call import Call
from actors.http_calls.errors import BAD_REQUEST, CallRefusedError

_MAX_FIELDS = 1_000
# Taking off percent-encoding costs 300 ms a MiB; whoever has more to say says it in JSON.
_MAX_FORM_BYTES = 1024 * 1024
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"


def read_parameters(call: Call) -> dict[str, Any]:
    """All parameters by name; the path's go before the query's, the query's before the body's.

    Those of path, query and form are text. Those of a JSON body keep their type; a list or an object in it comes as
    JSON text, which is how databases take it.

    Raises:
        CallRefusedError: 400 for a query or body that cannot be read, and for a name given twice in one place.
    """
    parameters: dict[str, Any] = _read_body(call) if call.body else {}
    if call.request.query:
        parameters.update(_read_form(call.request.query, "query string"))
    parameters.update(call.path)
    return parameters


def _read_body(call: Call) -> dict[str, Any]:
    media_type = (call.request.header("content-type") or "").partition(";")[0].strip().lower()
    if media_type == _FORM:
        if len(call.body) > _MAX_FORM_BYTES:
            raise CallRefusedError(BAD_REQUEST, f"a form has at most {_MAX_FORM_BYTES} bytes; send JSON")
        try:
            text = call.body.decode("ascii")
        except UnicodeDecodeError:
            raise CallRefusedError(BAD_REQUEST, "the form in the body is not percent-encoded") from None
        return dict(_read_form(text, "form"))
    if media_type == _JSON or (media_type.startswith("application/") and media_type.endswith("+json")):
        return _read_json(call.body)
    raise CallRefusedError(BAD_REQUEST, f"a body must have the Content-Type {_JSON} or {_FORM}")


def _read_form(text: str, place: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError:
        reason = f"the {place} is not UTF-8 once decoded, or has more than {_MAX_FIELDS} fields"
        raise CallRefusedError(BAD_REQUEST, reason) from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise CallRefusedError(BAD_REQUEST, f"a parameter is given twice in the {place}")
    return fields


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        # Lists and objects stay text: to build a million of them from one body would keep everybody else waiting.
        members = _MEMBERS.decode(body)
        if len(members) > _MAX_FIELDS:
            raise CallRefusedError(BAD_REQUEST, f"the JSON in the body has more than {_MAX_FIELDS} members")
        return {name: _read_value(bytes(value)) for name, value in members.items()}
    except msgspec.ValidationError:
        reason = "the JSON in the body must be an object of parameters, its numbers within range"
        raise CallRefusedError(BAD_REQUEST, reason) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CallRefusedError(BAD_REQUEST, f"the body is not JSON: {error}") from None


_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _read_value(value: bytes) -> Any:
    if value[:1] in {b"[", b"{"}:
        return msgspec.json.format(value, indent=-1).decode()
    return msgspec.json.decode(value)

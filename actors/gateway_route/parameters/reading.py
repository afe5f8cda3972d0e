"""What stands in a query string and in a body, by name; nothing of it is checked yet."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import msgspec

from actors.http_calls.errors import BAD_REQUEST, CallRefusedError

_MAX_FIELDS = 1_000
# Taking off percent-encoding costs 300 ms a MiB; whoever has more to say says it in JSON.
_MAX_FORM_BYTES = 1024 * 1024
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"


class JsonText(str):
    """A list or an object of a JSON body, as its text: no string that its sender wrote is of this type."""

    __slots__ = ()


def read_query(query: str) -> dict[str, str]:
    """The fields of a query string.

    Raises:
        CallRefusedError: 400, it cannot be read, or has a name twice.
    """
    return _read_form(query, "query string") if query else {}


def read_body(body: bytes, content_type: str | None) -> dict[str, Any]:
    """The members of a JSON object, with their types (a list or object as `JsonText`), or the fields of a form.

    Raises:
        CallRefusedError: 400, it is neither, cannot be read, or has a name of a form twice.
    """
    if not body:
        return {}
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type == _FORM:
        if len(body) > _MAX_FORM_BYTES:
            raise CallRefusedError(BAD_REQUEST, f"a form has at most {_MAX_FORM_BYTES} bytes; send JSON")
        try:
            text = body.decode("ascii")
        except UnicodeDecodeError:
            raise CallRefusedError(BAD_REQUEST, "the form in the body is not percent-encoded") from None
        return dict(_read_form(text, "form"))
    if media_type == _JSON or (media_type.startswith("application/") and media_type.endswith("+json")):
        return _read_json(body)
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
        if _count_members(body) != len(members):
            raise CallRefusedError(BAD_REQUEST, "a parameter is given twice in the body")
        return {name: _read_value(bytes(value)) for name, value in members.items()}
    except msgspec.ValidationError:
        reason = "the JSON in the body must be an object of parameters, its numbers within range"
        raise CallRefusedError(BAD_REQUEST, reason) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CallRefusedError(BAD_REQUEST, f"the body is not JSON: {error}") from None


_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _count_members(document: bytes) -> int:
    """How many members an object has, names that come again included: which of those counts, readers do not agree on.

    In lines, each member begins one, a blank before its name; what is nested begins with more of them, and no string
    has a line end in it.
    """
    return msgspec.json.format(document, indent=1).count(b'\n "')


def _read_value(value: bytes) -> Any:
    if value[:1] in {b"[", b"{"}:
        return JsonText(msgspec.json.format(value, indent=-1).decode())
    return msgspec.json.decode(value)

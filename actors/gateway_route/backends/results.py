"""Results of queries as the body of an answer: JSON, XML, or the bytes as they are."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple, Protocol
from xml.sax.saxutils import escape

import msgspec
import trio

from actors.errors import ConfigurationError
from actors.ports import QueryResult
from actors.wire.http.messages import HeaderFields

# A result of more rows is encoded in turns with others: it could take a tenth of a second, in which no device would be
# answered.
_ROWS_A_TURN = 200

JSON_HEADERS: HeaderFields = (("Content-Type", "application/json"),)
XML_HEADERS: HeaderFields = (("Content-Type", "application/xml; charset=utf-8"),)
STREAM_HEADERS: HeaderFields = (("Content-Type", "application/octet-stream"),)

# XML 1.0 2.2 and 2.3 (5th edition): what may stand in a document, and in a name.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME_START = r"A-Za-z_\xc0-\xd6\xd8-\xf6\xf8-\u02ff\u0370-\u037d\u037f-\u1fff\u2070-\u218f\u3001-\ud7ff"
_NO_NAME_START = re.compile(f"[^{_NAME_START}]")
_NO_NAME = re.compile(rf"[^{_NAME_START}0-9.\xb7\u0300-\u036f\u203f-\u2040-]")


class Answer(NamedTuple):
    """Results by name; `extra` stands beside them (a total, how many rows were changed)."""

    results: Sequence[tuple[str, QueryResult]]
    extra: Mapping[str, Any]


class Format(Protocol):
    """Makes the body of an answer."""

    headers: HeaderFields

    async def encode(self, answer: Answer) -> bytes:
        """The body, in UTF-8; others have their turns meanwhile."""


def format_of(returns: str, *, pretty: bool) -> Format:
    """The format of that name."""
    match returns:
        case "json":
            return JsonFormat(pretty=pretty)
        case "xml":
            return XmlFormat(pretty=pretty)
        case "stream":
            return StreamFormat()
        case _:
            raise ConfigurationError(f"a data backend does not return {returns}; it may return json, xml or stream")


class JsonFormat:
    """`{"default": [{column: value, ...}, ...]}`.

    Bytes come as base64, dates and times in ISO 8601, decimals as numbers; what JSON does not know (NaN) as null.
    """

    headers = JSON_HEADERS

    def __init__(self, *, pretty: bool = False) -> None:
        self._pretty = pretty
        self._encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)

    async def encode(self, answer: Answer) -> bytes:
        """The body."""
        encode = self._encoder.encode
        members = []
        for name, result in answer.results:
            names = result.names()
            parts = []
            for start in range(0, len(result.rows), _ROWS_A_TURN):
                if start:
                    await trio.lowlevel.checkpoint()
                rows = result.rows[start : start + _ROWS_A_TURN]
                parts.append(encode([dict(zip(names, map(_plain, row), strict=True)) for row in rows])[1:-1])
            members.append(encode(name) + b":[" + b",".join(parts) + b"]")
        members += [encode(name) + b":" + encode(value) for name, value in answer.extra.items()]
        body = b"{" + b",".join(members) + b"}"
        return msgspec.json.format(body, indent=2) if self._pretty else body


class XmlFormat:
    """A `<response>` with an element for each result, of a `<row>` for each row, of an element for each column.

    As SQL/XML does it (ISO/IEC 9075-14): characters that no name may have become `_xHHHH_`, what is null has
    `xsi:nil="true"`, bytes are base64. Characters that XML cannot have at all become U+FFFD.
    """

    headers = XML_HEADERS

    def __init__(self, *, pretty: bool = False) -> None:
        self._line, self._indent = ("\n", "  ") if pretty else ("", "")

    async def encode(self, answer: Answer) -> bytes:
        """The body."""
        line, indent = self._line, self._indent
        parts = [
            f'<?xml version="1.0" encoding="UTF-8"?>{line or chr(10)}',
            f'<response xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">{line}',
        ]
        for name, result in answer.results:
            element = xml_name(name)
            parts.append(f"{indent}<{element}>{line}")
            columns = [xml_name(column) for column in result.names()]
            async for rows in _in_turns(result):
                parts += [self._row(columns, row) for row in rows]
            parts.append(f"{indent}</{element}>{line}")
        for name, value in answer.extra.items():
            parts += self._extra(name, value)
        parts.append(f"</response>{line}")
        return "".join(parts).encode()

    def _row(self, columns: Sequence[str], row: Sequence[Any]) -> str:
        line, indent = self._line, self._indent
        cells = "".join(
            f"{indent * 3}{_element(column, value)}{line}" for column, value in zip(columns, row, strict=True)
        )
        return f"{indent * 2}<row>{line}{cells}{indent * 2}</row>{line}"

    def _extra(self, name: str, value: Any) -> Iterator[str]:
        if not isinstance(value, Mapping):
            yield f"{self._indent}{_element(xml_name(name), value)}{self._line}"
            return
        inner = "".join(_element(xml_name(key), one) for key, one in value.items())
        yield f"{self._indent}<{xml_name(name)}>{inner}</{xml_name(name)}>{self._line}"


class StreamFormat:
    """The values of the one column of the one result, one after the other, with nothing between them."""

    headers = STREAM_HEADERS

    async def encode(self, answer: Answer) -> bytes:
        """The body; text in UTF-8, nothing for what is null.

        Raises:
            ValueError: the result has not exactly one column.
        """
        ((_, result),) = answer.results
        if len(result.columns) != 1:
            raise ValueError(f"the statement yields {len(result.columns)} columns, and a raw answer is made of one")
        parts = []
        async for rows in _in_turns(result):
            parts += [_raw(value) for (value,) in rows]
        return b"".join(parts)


async def _in_turns(result: QueryResult) -> Any:
    for start in range(0, len(result.rows), _ROWS_A_TURN):
        if start:
            await trio.lowlevel.checkpoint()
        yield result.rows[start : start + _ROWS_A_TURN]


@lru_cache(maxsize=1024)
def xml_name(name: str) -> str:
    """A name of an XML element for any name (ISO/IEC 9075-14 9.1)."""
    if not name:
        return "_x0000_"
    first = _NO_NAME_START.sub(_hexadecimal, name[0]) if name[0] != "_" or name[1:2] != "x" else "_x005F_"
    # What looks like an escape is not one.
    rest = _NO_NAME.sub(_hexadecimal, re.sub(r"_(?=x)", "\0", name[1:]))
    return first + rest.replace("_x0000_", "_x005F_")


def _hexadecimal(found: re.Match[str]) -> str:
    return f"_x{ord(found[0]):04X}_"


def _element(name: str, value: Any) -> str:
    text = _text(value)
    return f'<{name} xsi:nil="true"/>' if text is None else f"<{name}>{_NO_XML.sub(chr(0xFFFD), escape(text))}</{name}>"


def _text(value: Any) -> str | None:
    """As SQL/XML writes values; None for what is null."""
    match _plain(value):
        case None:
            return None
        case bool() as truth:
            return "true" if truth else "false"
        case str() as text:
            return text
        case bytes() as octets:
            return base64.b64encode(octets).decode()
        case Decimal() | int() | float() as number:
            return str(number)
        case other:
            encoded = msgspec.json.encode(other, enc_hook=str).decode()
            return str(msgspec.json.decode(encoded)) if encoded.startswith('"') else encoded


def _raw(value: Any) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    return (_text(value) or "").encode()


def _plain(value: object) -> object:
    """JSON knows no NaN and no infinity, also not those of decimals."""
    if isinstance(value, Decimal) and not value.is_finite():
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

"""Results as JSON, XML and raw."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest

from actors.gateway_route.backends.results import Answer, JsonFormat, StreamFormat, XmlFormat, xml_name
from actors.ports import QueryResult

NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("id", "id"),
        ("größe", "größe"),
        ("full name", "full_x0020_name"),
        ("1st", "_x0031_st"),
        ("a<b>", "a_x003C_b_x003E_"),
        ("count(*)", "count_x0028__x002A__x0029_"),
        ("_x0020_", "_x005F_x0020_"),
        ("a_x", "a_x005F_x"),
        ("", "_x0000_"),
        ("a:b", "a_x003A_b"),
    ],
)
def test_any_name_is_a_name_of_xml(name: str, expected: str) -> None:
    """What may not stand in one is escaped, and what looks like an escape as well (ISO/IEC 9075-14 9.1)."""
    assert xml_name(name) == expected
    ET.fromstring(f"<{expected}/>")


async def test_xml_says_what_json_says() -> None:
    """Values in text, null as nil, bytes as base64; nothing breaks out, and what XML cannot have is replaced."""
    row = (
        1,
        "</row>&\x00\ud800",
        None,
        b"\x00\xff",
        Decimal("1.50"),
        True,
        dt.date(2026, 1, 2),
        [1, "a"],
        float("nan"),
    )
    result = QueryResult(tuple("abcdefghi"), [row])
    body = await XmlFormat().encode(Answer([("my lots", result)], {"total": 1, "affected": {"x y": 2}}))
    root = ET.fromstring(body)
    (cells,) = root.findall("./my_x0020_lots/row")
    texts = [cell.text for cell in cells]
    assert texts == ["1", "</row>&\ufffd\ufffd", None, "AP8=", "1.50", "true", "2026-01-02", '[1,"a"]', None]
    assert [cell.get(NIL) for cell in cells][2::6] == ["true", "true"]
    assert root.findtext("total") == "1"
    assert root.findtext("affected/x_x0020_y") == "2"


async def test_pretty_answers_say_the_same() -> None:
    """With lines and indents only."""
    answer = Answer([("default", QueryResult(("a",), [(1,), (2,)]))], {"total": 2})
    plain, pretty = await XmlFormat().encode(answer), await XmlFormat(pretty=True).encode(answer)
    assert b"\n      <a>1</a>\n" in pretty
    assert b"".join(line.strip() for line in pretty.splitlines()) == plain.replace(b"\n", b"")
    assert await JsonFormat(pretty=True).encode(answer) == (
        b'{\n  "default": [\n    {\n      "a": 1\n    },\n    {\n      "a": 2\n    }\n  ],\n  "total": 2\n}'
    )


async def test_many_rows_come_whole() -> None:
    """However many turns it takes."""
    rows = [(number,) for number in range(1_001)]
    answer = Answer([("default", QueryResult(("n",), rows))], {})
    assert (await JsonFormat().encode(answer)).count(b'"n":') == 1_001
    assert (await XmlFormat().encode(answer)).count(b"<n>") == 1_001
    assert len(await StreamFormat().encode(answer)) == sum(len(str(number)) for number in range(1_001))


async def test_raw_answers_are_values() -> None:
    """Bytes as they are, text in UTF-8, nothing for null; of one column."""
    rows = [(b"\x00\xff",), ("ä",), (None,), (5,)]
    assert await StreamFormat().encode(Answer([("default", QueryResult(("n",), rows))], {})) == b"\x00\xff\xc3\xa45"
    with pytest.raises(ValueError, match="yields 2 columns"):
        await StreamFormat().encode(Answer([("default", QueryResult(("a", "b"), []))], {}))

"""The YAML 1.2 core schema, and what a file may not do."""

from __future__ import annotations

import pytest

from config import yaml
from config.yaml import Items, Pairs, Scalar, YamlError, is_null, parse, resolve


def only(text: str | bytes) -> yaml.Node:
    (document,) = parse(text)
    return document.root


def plain(text: str) -> object:
    return resolve(Scalar(text, 1, plain=True))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("TRUE", True),
        ("False", False),
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("y", "y"),
        ("", None),
        ("~", None),
        ("null", None),
        ("nULL", "nULL"),
        ("12", 12),
        ("+12", 12),
        ("-12", -12),
        ("012", 12),
        ("0o14", 12),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("10:20:30", "10:20:30"),
        ("190:20:30.15", "190:20:30.15"),
        ("1.10", 1.1),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("1.2.3", "1.2.3"),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00Z"),
        ("0o8", "0o8"),
        ("=", "="),
    ],
)
def test_plain_scalars_follow_the_core_schema(text: str, value: object) -> None:
    """YAML 1.2.2, 10.3.2: only true/false, no sexagesimal, no octal by a leading zero, no dates."""
    resolved = plain(text)
    assert (resolved, type(resolved)) == (value, type(value))


def test_quoted_scalars_are_text() -> None:
    """Quotes make text of anything."""
    assert only("""['1', "true", "", 'null']""") == Items(
        tuple(Scalar(text, 1, plain=False) for text in ("1", "true", "", "null")), 1
    )
    assert resolve(Scalar("1", 1, plain=False)) == "1"


@pytest.mark.parametrize("text", [".inf", "-.INF", ".nan", "1e999", "9223372036854775808", "0xFFFFFFFFFFFFFFFFF"])
def test_numbers_beyond_json_are_refused(text: str) -> None:
    """What JSON or 64 bits cannot carry is no number here."""
    with pytest.raises(ValueError, match=r"not a finite number|beyond 64 bits"):
        plain(text)


def test_a_number_of_any_length_is_refused_in_no_time() -> None:
    """A number of a million digits is refused, not computed."""
    with pytest.raises(ValueError, match="beyond 64 bits"):
        plain("9" * 1_000_000)


def test_documents_are_counted_and_empty_ones_left_out() -> None:
    """Numbers and lines are those of the file, whatever is empty in between."""
    documents = list(parse("---\n# nothing\n---\n\na: 1\n---\n---\nb: 1\n"))
    assert [(document.number, document.line) for document in documents] == [(2, 5), (4, 8)]


def test_aliases_stand_for_what_they_name() -> None:
    """An alias is the node of its anchor."""
    root = only("a: &x {p: 1}\nb: *x\n")
    assert isinstance(root, Pairs)
    assert root.get("a") == root.get("b")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: b: c", 1, "mapping values are not allowed"),
        ("a: 1\nb: [1", 2, "did not find expected"),
        ("x: 1\n\ty: 2", 2, "found a tab character"),
        ("a: *b", 1, r"\*b refers to an anchor that is not in this document"),
        ("a: &b 1\n---\na: *b", 3, "not in this document"),
        ("&a [*a]", 1, "refers to what contains it"),
        ("? [1]\n: 2", 1, "a key must be text"),
        ("a: !!python/object:os.system x", 1, "tag .* is not known here"),
        ("a:\n- !secret x", 2, "tag !secret is not known here"),
        ("[" * 65 + "]" * 65, 1, "nested more than 64 levels"),
        ("a: x\nb: \x01", 2, "control character"),
        (b"a: 1\nb: \xff", 2, "not UTF-8"),
    ],
)
def test_what_cannot_be_read_says_where_and_why(text: str | bytes, line: int, reason: str) -> None:
    """The line counts from 1, the reason is one a person can act on."""
    with pytest.raises(YamlError, match=reason) as refusal:
        list(parse(text))
    assert refusal.value.line == line


def test_what_stands_before_the_fault_is_read() -> None:
    """Whole documents before a broken one are yielded first."""
    documents = parse("a: 1\n---\nb: [")
    assert next(documents).number == 1
    with pytest.raises(YamlError) as refusal:
        next(documents)
    assert refusal.value.document == 2


def test_aliases_cannot_blow_a_small_file_up() -> None:
    """Billion laughs: aliases count as what they stand for."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(YamlError, match="more than 1000000 values"):
        list(parse("\n".join(lines)))


def test_size_is_bounded() -> None:
    """More than 16 MiB are refused before they are looked at."""
    with pytest.raises(YamlError, match="larger than 16 MiB"):
        list(parse(b" " * (yaml.MAX_BYTES + 1)))


def test_core_tags_are_taken() -> None:
    """`!!str 1` is text, `!!int "1"` is a number."""
    root = only('a: !!str 1\nb: !!int "1"\nc: ! 1')
    assert isinstance(root, Pairs)
    assert [resolve(value) for _, value in root.pairs if isinstance(value, Scalar)] == ["1", 1, "1"]


def test_a_byte_order_mark_is_no_content() -> None:
    """Files that begin with U+FEFF are read as any other."""
    assert only("\ufeffa: ~".encode()) == only("a: ~")
    assert is_null(Scalar("~", 1, plain=True))

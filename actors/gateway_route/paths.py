"""Paths of requests and of routes, cut into segments. Percent-encoding is taken off once, segment by segment."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote, unquote_to_bytes

from actors.errors import ConfigurationError

_BROKEN_ENCODING = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_DOTS = frozenset({".", ".."})
# So often what is below a prefix may have been encoded; nobody who does it more often means well.
_MAX_ENCODINGS = 4


class Parameter(NamedTuple):
    """A segment of a route that stands for any one that is not empty."""

    name: str


Segment = str | Parameter


def decode(path: str) -> list[str]:
    """The segments of a request's path.

    `%2F` stays inside its segment, and what it hides is not decoded again. `.` and `..`, encoded or not, are refused
    instead of resolved: a caller that climbs has no honest reason to (RFC 3986 6.2.2.3 is for clients).

    Raises:
        ValueError: says what is wrong with the path.
    """
    segments = path.split("/")[1:]
    if "%" in path:
        segments = [_unquote(segment) if "%" in segment else segment for segment in segments]
    if not _DOTS.isdisjoint(segments):
        raise ValueError("the path must not have . or .. as a segment")
    return segments


def canonical(segments: list[str]) -> str:
    """The one spelling of a path that tells its segments apart."""
    return "".join("/" + segment.replace("%", "%25").replace("/", "%2F") for segment in segments)


def below(segments: list[str], length: int) -> str:
    """What is below a prefix of so many segments, as one text.

    Whoever takes it for a path may decode it once more, or know other separators: what would climb then, or begin at
    a root, is refused as if it were written openly.

    Raises:
        ValueError: a segment hides what must not be there.
    """
    for segment in segments:
        if "%" in segment or "/" in segment or "\\" in segment:
            _refuse_hidden(segment)
    return "/".join(segments[length:])


def parse_route(path: str) -> tuple[Segment, ...]:
    """The segments of a route's path, as it stands in a manifest: `/lots/{lot}`.

    Raises:
        ConfigurationError: says what is wrong with the path.
    """
    if not path.startswith("/") or "?" in path or "#" in path:
        raise ConfigurationError(f"the path {path!r} must begin with / and have neither query nor fragment")
    try:
        segments = decode(path)
    except ValueError as error:
        raise ConfigurationError(f"the path {path!r} cannot be served: {error}") from error
    if "" in segments[:-1]:
        raise ConfigurationError(f"the path {path!r} has an empty segment")
    parsed = tuple(_parse_segment(path, segment) for segment in segments)
    names = [segment.name for segment in parsed if isinstance(segment, Parameter)]
    if len(names) != len(set(names)):
        raise ConfigurationError(f"the path {path!r} has two parameters of one name")
    return parsed


def _parse_segment(path: str, segment: str) -> Segment:
    match = _PARAMETER.fullmatch(segment)
    if match is not None:
        return Parameter(match[1])
    if "{" in segment or "}" in segment:
        raise ConfigurationError(
            f"the path {path!r} has braces in {segment!r}: a parameter is a whole segment, {{name}}, of letters, "
            "digits and underscores"
        )
    return segment


def _refuse_hidden(text: str) -> None:
    for _ in range(_MAX_ENCODINGS):
        pieces = text.replace("\\", "/").split("/")
        if not _DOTS.isdisjoint(pieces) or (len(pieces) > 1 and "" in pieces) or "\0" in text:
            raise ValueError("the path hides a slash at an end, a NUL, or . or .. as a segment, behind its encoding")
        decoded = unquote(text)
        if decoded == text:
            return
        text = decoded
    raise ValueError("the path is percent-encoded over and over")


def _unquote(segment: str) -> str:
    if _BROKEN_ENCODING.search(segment):
        raise ValueError("the path has a % without two hexadecimal digits")
    try:
        text = unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("the path is not UTF-8 once its percent-encoding is taken off") from None
    if "\0" in text:
        raise ValueError("the path must not have a NUL character")
    return text

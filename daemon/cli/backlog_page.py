"""The page of `penstock backlog`: for whoever is called at night. Plain words first, figures after, then what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

_WIDTH = 100
_WORDS = {
    "burst": "a burst from the producers",
    "slow_consumers": "consumers are too slow",
    "stuck_members": "a consumer is dead or stuck",
    "unconsumed_partitions": "nobody consumes",
    "too_few_partitions": "too few partitions for the rate",
    "more_members_than_partitions": "more members than partitions",
    "key_skew": "one partition gets most of it",
    "rebalance_churn": "consumers come and go all the time",
}


def page(groups: Sequence[Mapping[str, Any]], *, detailed: bool) -> Iterator[str]:
    """Lines; groups that are healthy have one line each, or all of it if `detailed`."""
    if not groups:
        yield "There are no groups yet: nobody consumes anything."
        return
    late = [one for one in groups if one["verdict"] != "healthy"]
    yield f"{len(late)} of {len(groups)} groups lag." if late else f"All is well: none of {len(groups)} groups lags."
    for one in late:
        yield ""
        yield from _group(one)
    calm = [one for one in groups if one["verdict"] == "healthy"]
    if calm:
        yield ""
    for one in calm:
        if detailed:
            yield from _group(one)
        else:
            yield f"  {one['group']} keeps up with {one['topic']} ({_rates(one)})"


def _group(one: Mapping[str, Any]) -> Iterator[str]:
    yield f"{one['group']} <- {one['topic']}   {one['verdict'].upper()}"
    yield from _wrapped(one["text"], "  ")
    for number, cause in enumerate(one["causes"], 1):
        yield ""
        yield f"  Why ({number}): {_WORDS.get(cause['kind'], cause['kind'])}."
        yield from _wrapped(cause["evidence"], "    ")
        yield from _remedies(cause["remedies"])
    if not one["causes"] and one["verdict"] != "healthy":
        growing = "the last half minute does not tell; look again soon."
        draining = "nothing is wrong now; what waits came before, or while nobody could take it."
        yield f"  Why: {draining if one['verdict'] == 'draining' else growing}"
    yield ""
    yield f"  Figures: {one['lag']} messages, {_bytes(one['lag_bytes'])}, oldest {_seconds(one['lag_seconds'])};"
    drain = one["drain_seconds"]
    gone = f"gone in {_seconds(drain)}" if drain is not None else "no end in sight at these rates"
    yield f"    {_rates(one)}; {gone}; {one['members']} members, {one['partitions']} partitions."


def _remedies(remedies: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for number, remedy in enumerate(remedies):
        seconds = remedy["expected_seconds_to_drain"]
        expected = f" Then all is done in about {_seconds(seconds)}." if seconds is not None else ""
        harmless = " (harmless)" if remedy["harmless"] else ""
        word = "Do" if number == 0 else "Or"
        yield from _wrapped(f"{word}: {remedy['text']}{expected}{harmless}", "    ")
        # Not wrapped: it is there to be copied.
        yield from (f"      {command}" for command in remedy["commands"])


def _rates(one: Mapping[str, Any]) -> str:
    return f"{one['produce_rate']:.0f} come and {one['consume_rate']:.0f} are done per second"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "of unknown age"
    for length, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _bytes(size: int | None) -> str:
    if size is None:
        return "of unknown size"
    for length, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= length:
            return f"{size / length:.1f} {unit}"
    return f"{size} bytes"


def moment(milliseconds: int) -> str:
    """A time in UTC, to the second."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )

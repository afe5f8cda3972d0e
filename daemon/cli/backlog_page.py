"""The page of `penstock backlog`: for whoever is called at night. Plain words first, figures after, then what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

_WIDEST, _NARROWEST = 100, 40
_ACTIONS = {
    "throttle": "hold producers back",
    "reject": "refuse producers",
    "divert": "lead new records elsewhere",
    "drop_oldest": "drop the oldest records",
}
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


def page(groups: Sequence[Mapping[str, Any]], *, detailed: bool, width: int = _WIDEST) -> Iterator[str]:
    """Lines of at most `width`, but for commands; healthy groups have one line each, or all of it if `detailed`."""
    width = min(max(width, _NARROWEST), _WIDEST)
    if not groups:
        yield "There are no groups yet: nobody consumes anything."
        return
    late = [one for one in groups if one["verdict"] != "healthy"]
    yield f"{len(late)} of {_count(len(groups), 'group')} lag." if late else _all_well(len(groups))
    for one in late:
        yield ""
        yield from _group(one, width)
    calm = [one for one in groups if one["verdict"] == "healthy"]
    if calm:
        yield ""
    for one in calm:
        if detailed:
            yield from _group(one, width)
        else:
            yield from _wrapped(f"{one['group']} keeps up with {one['topic']} ({_rates(one)})", "  ", width)


def _all_well(groups: int) -> str:
    return f"All is well: none of {groups} groups lags." if groups > 1 else "All is well: the group does not lag."


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _group(one: Mapping[str, Any], width: int) -> Iterator[str]:
    yield f"{one['group']} <- {one['topic']}   {one['verdict'].upper()}"
    yield from _wrapped(one["text"], "  ", width)
    policy = one.get("policy")
    if policy is not None:
        yield from _wrapped(_policy(one["topic"], policy), "  ", width)
    for number, cause in enumerate(one["causes"], 1):
        yield ""
        yield f"  Why ({number}): {_WORDS.get(cause['kind'], cause['kind'])}."
        yield from _wrapped(cause["evidence"], "    ", width)
        yield from _remedies(cause["remedies"], width)
    if not one["causes"] and one["verdict"] != "healthy":
        growing = "the last half minute does not tell; look again soon."
        draining = "nothing is wrong now; what waits came before, or while nobody could take it."
        yield from _wrapped(f"Why: {draining if one['verdict'] == 'draining' else growing}", "  ", width)
    yield ""
    yield from _wrapped(_figures(one), "  ", width)


def _figures(one: Mapping[str, Any]) -> str:
    drain = one["drain_seconds"]
    gone = f"gone in {_seconds(drain)}" if drain is not None else "no end in sight at these rates"
    return (
        f"Figures: {_count(one['lag'], 'message')}, {_bytes(one['lag_bytes'])}, oldest {_seconds(one['lag_seconds'])}; "
        f"at this moment {_rates(one)}; {gone}; {_count(one['members'], 'member')}, "
        f"{_count(one['partitions'], 'partition')}."
    )


def _policy(topic: str, policy: Mapping[str, Any]) -> str:
    """What the topic's backlog policy does about it now: producers feel it, and somebody may be calling about it."""
    if not policy["reason"]:
        return f"The policy of topic {topic} rests: past {policy['limit']} it would {_ACTIONS[policy['action']]}."
    since, because = moment(round(policy["since"] * 1000)), f"because {policy['reason']}"
    match policy["action"]:
        case "throttle":
            return f"Producers of {topic} are held back since {since}, {because}; nothing of theirs is lost."
        case "reject":
            refused = _count(policy["refused"], "record")
            return f"Producers of {topic} are refused since {since}, {because}: {refused} so far."
        case "divert":
            return (
                f"New records of {topic} go to {policy['divert_to']} since {since}, {because}: {policy['diverted']} so "
                f"far. Once it has caught up, `penstock topic bring-home {topic}` moves them back."
            )
        case _:
            dropped = _count(policy["dropped"], "record")
            return f"The oldest records of {topic} are dropped unread, {because}: {dropped} so far."


def _remedies(remedies: Sequence[Mapping[str, Any]], width: int) -> Iterator[str]:
    for number, remedy in enumerate(remedies):
        seconds = remedy["expected_seconds_to_drain"]
        expected = f" Then all is done in about {_seconds(seconds)}." if seconds is not None else ""
        harmless = " (harmless)" if remedy["harmless"] else ""
        word = "Do" if number == 0 else "Or"
        yield from _wrapped(f"{word}: {remedy['text']}{expected}{harmless}", "    ", width)
        # Not wrapped: it is there to be copied.
        yield from (f"      {command}" for command in remedy["commands"])


def _rates(one: Mapping[str, Any]) -> str:
    if not one["produce_rate"] and not one["consume_rate"]:
        return "nothing comes"
    return f"{one['produce_rate']:.0f} come and {one['consume_rate']:.0f} are done per second"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "of unknown age"
    for length, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return _count(round(seconds), "second")


def _bytes(size: int | None) -> str:
    if size is None:
        return "of unknown size"
    from actors.sizes import size_words

    return size_words(size)


def moment(milliseconds: int) -> str:
    """A time in UTC, to the second."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )

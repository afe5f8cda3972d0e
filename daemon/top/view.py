"""Two samples of the instance as people and scripts are shown them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from daemon.top.pressure import Hop, hops
from daemon.top.sample import ActorSample, Sample


def view(before: Sample, after: Sample) -> dict[str, Any]:
    """Ready for JSON: `{seconds, blocking, hops, actors}`.

    `seconds` lie between the samples; rates are per second over them. `blocking` are the hops that are to blame,
    worst first. `actors` is the tree: `{name, state, reason, restarts, mailbox, rates, gauges, children}`; a mailbox
    has its depth, capacity and high water (in its own unit), messages, how many senders stand in line, the seconds
    that senders have waited since the start, and `waiting`, the senders that stood in line on average.
    """
    span = max(after.at - before.at, 1e-9)
    found = hops(before, after)
    blocking = sorted((hop for hop in found if hop.blocking), key=lambda hop: -hop.held)
    return {
        "seconds": after.at - before.at,
        "blocking": [_hop(hop) for hop in blocking],
        "hops": [_hop(hop) for hop in found],
        "actors": _actor(after.tree, before.tree, span),
    }


def _hop(hop: Hop) -> dict[str, Any]:
    return asdict(hop) | {"held": round(hop.held, 3)}


def _actor(one: ActorSample, was: ActorSample | None, span: float) -> dict[str, Any]:
    earlier = {child.name: child for child in was.children} if was is not None else {}
    return {
        "name": one.name,
        "state": one.state,
        "reason": one.reason,
        "restarts": one.restarts,
        "mailbox": _mailbox(one, was, span),
        "rates": _rates(one.counts, was.counts if was is not None else {}, span),
        "gauges": dict(one.gauges),
        "children": [_actor(child, earlier.get(child.name), span) for child in one.children],
    }


def _mailbox(one: ActorSample, was: ActorSample | None, span: float) -> dict[str, Any] | None:
    if one.mailbox is None:
        return None
    before = was.mailbox if was is not None and was.mailbox is not None else one.mailbox
    shown = asdict(one.mailbox)
    # A life that began in between counts from nothing.
    waited = one.mailbox.waited - before.waited
    return shown | {"waiting": round(max(waited, 0.0) / span, 3)}


def _rates(counts: Mapping[str, float], before: Mapping[str, float], span: float) -> dict[str, float]:
    return {name: round(max(count - before.get(name, count), 0.0) / span, 3) for name, count in counts.items()}

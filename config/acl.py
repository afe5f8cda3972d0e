"""Whether the access control list of a product makes sense, and where it lets devices publish."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from config.flaws import Flaw
from config.resources import AclEntry, Product
from config.resources.filters import covers, filter_problem, overlaps

_KNOWN: Final = ("${productId}", "${deviceId}")
_PLACEHOLDER: Final = re.compile(r"\$\{[^}]*\}?")
# How other brokers write what is `${deviceId}` here; as plain text it would match nothing that anybody publishes to.
_FOREIGN: Final = {"%c": "${deviceId}", "%u": "${productId}/${deviceId}"}


def acl_flaws(product: Product) -> Iterator[Flaw]:
    """Everything that is nonsense in a list, or odd."""
    sound: list[tuple[int, AclEntry]] = []
    for i, entry in enumerate(product.acl):
        path = f"$.acl[{i}]"
        flaw = _of_entry(entry, path)
        if flaw is not None:
            yield flaw
            continue
        before = next((j for j, other in sound if _includes(other, entry)), None)
        if before is not None:
            reason = f"is never asked: entry {before} ($.acl[{before}]) covers all of it, and the first match wins"
            yield Flaw(path, reason, warning=True)
        sound.append((i, entry))
    yield from _own_topics(product, sound)


def takes_away(entry: AclEntry, action: str) -> bool:
    """Whether an entry refuses something of an action."""
    return entry.deny in (action, "all")


def gives(entry: AclEntry, action: str) -> bool:
    """Whether an entry allows something of an action."""
    return entry.allow in (action, "all")


def may_be_published(product: Product, topic_filter: str) -> bool:
    """Whether there may be a message of the product's devices that a filter matches."""
    levels = topic_filter.split("/")
    reachable = [
        levels_of(entry.topic, product.name)
        for entry in product.acl
        if gives(entry, "publish") and not filter_problem(entry.topic)
    ]
    return any(overlaps(one, levels) for one in [(product.name, "out", "+"), *reachable])


def levels_of(topic: str, product: str) -> tuple[str, ...]:
    """An entry's filter by levels, for any device of the product: what its name stands in is any level."""
    filled = topic.replace("${productId}", product).split("/")
    return tuple("+" if "${deviceId}" in level else level for level in filled)


def _of_entry(entry: AclEntry, path: str) -> Flaw | None:
    if (entry.allow is None) == (entry.deny is None):
        return Flaw(path, "says exactly one of `allow` and `deny`: publish, subscribe or all")
    reason = _topic_problem(entry.topic)
    return Flaw(f"{path}.topic", reason) if reason else None


def _topic_problem(topic: str) -> str:
    unknown = next((found for found in _PLACEHOLDER.findall(topic) if found not in _KNOWN), None)
    if unknown is not None:
        return f"{unknown} stands for nothing; there are {' and '.join(_KNOWN)}"
    if topic.startswith("$share/"):
        return "a shared subscription is judged by the filter in it: leave out `$share/<group>/`"
    foreign = next((ours for theirs, ours in _FOREIGN.items() if theirs in topic.split("/")), None)
    if foreign is not None:
        return f"'{topic}' has no placeholder of this daemon: write {foreign}"
    reason = filter_problem(topic)
    return f"'{topic}' is not an MQTT topic filter: {reason}" if reason else ""


def _includes(first: AclEntry, later: AclEntry) -> bool:
    """Whether nothing is left to decide for an entry once another one was asked."""
    action = first.allow or first.deny
    if action not in ("all", later.allow or later.deny):
        return False
    return covers(first.topic.split("/"), later.topic.split("/"))


def _own_topics(product: Product, entries: Sequence[tuple[int, AclEntry]]) -> Iterator[Flaw]:
    """Whoever ends a list with `deny: all, topic: "#"` out of habit shuts his devices up."""
    for action, direction in (("publish", "out"), ("subscribe", "in")):
        own = [product.name, direction, "${deviceId}"]
        for i, entry in entries:
            if not covers(entry.topic.replace("${productId}", product.name).split("/"), own):
                continue
            if takes_away(entry, action):
                reason = (
                    f"devices can no longer {action} to their own topic, {product.name}/{direction}/<device>; what no "
                    "entry allows is refused without being denied"
                )
                yield Flaw(f"$.acl[{i}]", reason, warning=True)
            if takes_away(entry, action) or gives(entry, action):
                break

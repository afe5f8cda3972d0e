"""The access control list of a product, compiled once, and what it says of a device or an app.

A list is read from its head; the first entry whose filter covers all of what is asked for decides, and what no entry
decides is refused. Behind what the product's manifest says stand the entries that every product has, as though they
were written there last: devices publish to their own `out` topic and subscribe to their own `in` topic.

An app is at the other end of its devices: it may subscribe to what they may publish to, and publish to what they may
subscribe to, whichever device it is. So for apps the same list is read with both words exchanged, and `${deviceId}`
standing for any device.

What `${deviceId}` is replaced by is text of one level, never syntax. A name that is none (a client without a user name
chooses its own) gets nothing from an entry that allows, and loses everything to one that denies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from config.resources import Product
from config.resources.filters import covers

PRODUCT: Final = "${productId}"
DEVICE: Final = "${deviceId}"

Action = Literal["publish", "subscribe"]


class Ruling(NamedTuple):
    """Whether what a filter (as its levels) covers is allowed."""

    allow: bool
    levels: tuple[str, ...]


Rulings = tuple[Ruling, ...]


@dataclass(frozen=True, slots=True)
class Granted:
    """What one list says of one client, for publishing and for subscribing; `product` is whose list it is."""

    product: str
    publish: Rulings
    subscribe: Rulings


class _Entry(NamedTuple):
    """One entry, its product's name filled in; `named` where it speaks of `${deviceId}`."""

    allow: bool
    actions: tuple[Action, ...]
    levels: tuple[str, ...]
    named: bool


class Acl:
    """The list of one product. What it says is made anew at each call: whoever asks often keeps it."""

    __slots__ = ("_entries", "_of_device", "_product")

    def __init__(self, product: Product) -> None:
        self._product = product.name
        self._entries = tuple(
            _entry(entry.allow is not None, entry.allow or entry.deny or "all", entry.topic, product.name)
            for entry in product.acl
        )
        self._of_device = (
            *self._entries,
            _entry(True, "publish", f"{PRODUCT}/out/{DEVICE}", self._product),  # noqa: FBT003 - the word is `allow`
            _entry(True, "subscribe", f"{PRODUCT}/in/{DEVICE}", self._product),  # noqa: FBT003
        )

    def of_device(self, device: str) -> Granted:
        """What a device may do that has shown who it is."""
        return self._granted(self._of_device, device)

    def of_passer_by(self, client_id: str) -> Granted:
        """What a client may do that has not shown who it is: only what the manifest says."""
        return self._granted(self._entries, client_id)

    def of_app(self) -> Granted:
        """What an app may do that uses the product."""
        publish: list[Ruling] = []
        subscribe: list[Ruling] = []
        for entry in self._entries:
            if entry.allow and _names_part_of_a_level(entry.levels):
                continue  # a wildcard in its place would be more than the entry says
            levels = _of_any_device(entry.levels)
            if "publish" in entry.actions:
                subscribe.append(Ruling(entry.allow, levels))
            if "subscribe" in entry.actions:
                publish.append(Ruling(entry.allow, levels))
        subscribe.append(Ruling(allow=True, levels=(self._product, "out", "#")))
        publish.append(Ruling(allow=True, levels=(self._product, "in", "+", "#")))
        return Granted(self._product, tuple(publish), tuple(subscribe))

    def _granted(self, entries: tuple[_Entry, ...], name: str) -> Granted:
        return Granted(self._product, _rulings(entries, "publish", name), _rulings(entries, "subscribe", name))


def decide(rulings: Rulings, levels: list[str]) -> bool:
    """Whether a topic or a filter (as its levels) is allowed: the first entry that covers it says so."""
    first = levels[0]
    for allow, wanted in rulings:
        # Most entries differ in their first level already, and this is asked for each topic and subscriber.
        if wanted[0] in (first, "+", "#") and covers(wanted, levels):
            return allow
    return False


def _rulings(entries: tuple[_Entry, ...], action: Action, name: str) -> Rulings:
    rulings: list[Ruling] = []
    for entry in entries:
        if action not in entry.actions:
            continue
        if not entry.named:
            rulings.append(Ruling(entry.allow, entry.levels))
        elif _fits(name, entry.levels[0]):
            rulings.append(Ruling(entry.allow, tuple(level.replace(DEVICE, name) for level in entry.levels)))
        elif not entry.allow:
            break
    return tuple(rulings)


def _fits(name: str, first: str) -> bool:
    """Whether a name is text of one level, and makes no `$` topic of one that is none (MQTT-4.7.2-1)."""
    if not name or any(sign in name for sign in "+#/"):
        return False
    return not (first.startswith(DEVICE) and name.startswith("$"))


def _entry(allow: bool, action: str, topic: str, product: str) -> _Entry:  # noqa: FBT001 - the word is `allow`
    actions: tuple[Action, ...] = ("publish", "subscribe")
    if action == "publish":
        actions = ("publish",)
    elif action == "subscribe":
        actions = ("subscribe",)
    levels = tuple(topic.replace(PRODUCT, product).split("/"))
    return _Entry(allow, actions, levels, DEVICE in topic)


def _of_any_device(levels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("+" if DEVICE in level else level for level in levels)


def _names_part_of_a_level(levels: tuple[str, ...]) -> bool:
    return any(DEVICE in level and level != DEVICE for level in levels)

"""Who may publish and subscribe where.

A device publishes to `<product>/out/<device>` and subscribes to `<product>/in/<device>`, nothing else. An app stands
on the other side: it publishes to `<product>/in/<device>` and subscribes below `<product>/out` of its own products and
of those that are shared with it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, assert_never

from actors.directory.directory import Directory
from actors.directory.identities import AppIdentity, DeviceIdentity, Identity

Direction = Literal["in", "out"]

_LEVELS = 3


class DeviceTopic(NamedTuple):
    """A topic of a device: `out` carries its reports, `in` what is sent to it."""

    product: str
    direction: Direction
    device: str

    def __str__(self) -> str:
        """As it is published to."""
        return f"{self.product}/{self.direction}/{self.device}"


def parse_topic(topic: str) -> DeviceTopic | None:
    """The parts of a device's topic; None where it is none, or contains a wildcard."""
    levels = topic.split("/")
    if len(levels) != _LEVELS or "+" in topic or "#" in topic:
        return None
    product, direction, device = levels
    if not product or not device:
        return None
    if direction == "in":
        return DeviceTopic(product, "in", device)
    if direction == "out":
        return DeviceTopic(product, "out", device)
    return None


def may_publish(identity: Identity, topic: str, directory: Directory) -> bool:
    """Whether a client may publish to a topic, as things stand now."""
    place = parse_topic(topic)
    if place is None or not directory.admits(identity):
        return False
    match identity:
        case DeviceIdentity(product, device):
            return place == (product, "out", device)
        case AppIdentity(app):
            return place.direction == "in" and uses_product(app, place.product, directory)
        case _:
            assert_never(identity)


def may_subscribe(identity: Identity, topic_filter: str, directory: Directory) -> bool:
    """Whether a client may subscribe to a filter, as things stand now.

    Product and direction are never wildcards: such a filter would take more than the client may see.
    """
    if not directory.admits(identity):
        return False
    match identity:
        case DeviceIdentity(product, device):
            return topic_filter == f"{product}/in/{device}"
        case AppIdentity(app):
            product, _, rest = topic_filter.partition("/")
            direction, _, device = rest.partition("/")
            return direction == "out" and _is_device_level(device) and uses_product(app, product, directory)
        case _:
            assert_never(identity)


def uses_product(app: str, product: str, directory: Directory) -> bool:
    """Whether a product belongs to an app or is shared with it."""
    found = directory.product(product)
    return found is not None and (found.app == app or app in found.shared_with)


def _is_device_level(level: str) -> bool:
    return level in ("+", "#") or (level != "" and not any(sign in level for sign in "+#/"))

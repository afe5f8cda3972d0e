"""What an app may do with a topic."""

from __future__ import annotations

from collections.abc import Callable

from actors.http_calls.errors import APP_NOT_AUTHORIZED, CallRefusedError
from actors.topic_gateway.errors import unknown
from actors.topic_partition.mask import mask_for, masker
from config.resources import Topic
from config.resources.topics import Right

TopicLookup = Callable[[str], Topic | None]
"""The topic of a name as people wrote it, or None."""


def permitted(name: str, app: str, right: Right, topics: TopicLookup) -> Topic:
    """The topic, where the app may do this with it: its own, shared with it, or granted.

    Raises:
        CallRefusedError: 404, there is none; 403, it may not.
    """
    topic = topics(name)
    if topic is None:
        raise unknown(f"there is no topic {name}")
    if not topic.allows(app, right):
        raise CallRefusedError(APP_NOT_AUTHORIZED, f"app {app} may not {right} topic {name}")
    return topic


def shown_to(app: str, topic: Topic) -> Callable[[bytes], bytes]:
    """What makes a record's value fit for the eyes of an app."""
    mask = mask_for(app, topic.app, topic.mask)
    return _as_it_is if mask is None else masker(mask.fields)


def _as_it_is(value: bytes) -> bytes:
    return value

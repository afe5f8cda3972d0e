"""Handlers: what only this instance can make."""

from __future__ import annotations

import pytest

from actors.topic_gateway.handlers import BadHandlerError, Handler, Handlers

KEY = b"k" * 32
HANDLER = Handler(partition=3, offset=2**40, number=7, expires=1_800_000_000_000)


def test_a_handler_says_what_it_was_made_for() -> None:
    """What was issued is read back, also by another life of the daemon with the same key."""
    text = Handlers(KEY, "t", "g").issue(HANDLER)
    assert Handlers(KEY, "t", "g").read(text) == HANDLER
    assert text.isascii()
    assert text.replace("-", "").replace("_", "").isalnum()


def test_a_handler_of_another_group_topic_or_instance_is_none() -> None:
    """Topic, group and key are all under the signature; names that read alike together do not."""
    text = Handlers(KEY, "t", "g").issue(HANDLER)
    for other in (
        Handlers(KEY, "t", "h"),
        Handlers(KEY, "u", "g"),
        Handlers(b"x" * 32, "t", "g"),
        Handlers(KEY, "tg", ""),
    ):
        with pytest.raises(BadHandlerError):
            other.read(text)


def test_no_change_of_a_handler_goes_unnoticed() -> None:
    """Each character that is replaced, left out or added makes it none, also those whose last bits mean nothing."""
    handlers = Handlers(KEY, "t", "g")
    text = handlers.issue(HANDLER)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. \n\u00e9"
    forged = [text[:at] + other + text[at + 1 :] for at in range(len(text)) for other in alphabet if other != text[at]]
    for bad in [*forged, text[:-1], text + "A", text + "=", " " + text, "", "x", text * 2]:
        with pytest.raises(BadHandlerError):
            handlers.read(bad)

"""Conditions of rules that a function decides: what it is asked of each report."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from actors.rules.envelope import in_base64

_decode = msgspec.json.Decoder().decode


class Condition(NamedTuple):
    """Which function decides, as which app it is called, and about whose reports; `take` is what holds if it fails."""

    rule: str
    function: str
    app: str
    take: bool
    product: str
    device: str
    topic: str
    """The MQTT topic that the reports were published to."""

    def item(self, payload: bytes, timestamp: int) -> dict[str, Any]:
        """What the function gets of one report; `data` is text, or base64 and says so, where it is no JSON."""
        return {
            "product": self.product,
            "device": self.device,
            "topic": self.topic,
            "time": timestamp,
            **_data(payload),
        }


def _data(payload: bytes) -> dict[str, Any]:
    try:
        return {"data": _decode(payload)}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return {"data": payload.decode()}
    except UnicodeDecodeError:
        return {"data": in_base64(payload).decode(), "base64": True}

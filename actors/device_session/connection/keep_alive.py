"""The clock of one client's silence (MQTT 5, 3.1.2.10)."""

from __future__ import annotations

import math
from typing import Final

# A server lets a client go that is silent for one and a half times its keep alive [MQTT-3.1.2-24, MQTT5-3.1.2-22].
KEEP_ALIVE_FACTOR: Final = 1.5


class KeepAlive:
    """Since when the client is silent, and for how long it may be; times in seconds of trio's clock.

    While the client is held (not read, because too much of it is outstanding) the clock stands still.
    """

    __slots__ = ("_reassure_at", "heard", "holding", "silence")

    def __init__(self, silence: float, now: float) -> None:
        self.silence = silence
        """For how long it may be silent."""
        self.heard = now
        """When it was heard last; infinity while it is held."""
        self.holding = False
        """Whether it is held, or has been and not been heard since."""
        self._reassure_at = math.inf

    def hear(self, now: float) -> None:
        """Something came."""
        self.heard = now
        self.holding = False

    def hold(self, now: float) -> None:
        """It is not read from now on."""
        self.holding = True
        self._reassure_at = now + self._half()
        self.heard = math.inf

    def resume(self, now: float) -> None:
        """It is read again."""
        self.heard = now
        self._reassure_at = math.inf

    def is_over(self, now: float) -> bool:
        """Whether it was silent for too long."""
        return now - self.heard > self.silence

    def is_to_be_reassured(self, now: float) -> bool:
        """Whether a held client is to be answered in advance: its PINGREQ is not read, and it would leave.

        Twice in each keep alive; one that is answered twice notices nothing.
        """
        if not self.holding or now < self._reassure_at:
            return False
        self._reassure_at = now + self._half()
        return True

    def _half(self) -> float:
        return self.silence / KEEP_ALIVE_FACTOR / 2

"""How many restarts are too many."""

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class Intensity:
    """At most `limit` restarts within `window` seconds, counted in a sliding window (OTP's restart intensity)."""

    limit: int = 5
    window: float = 30.0
    _times: deque[float] = field(default_factory=deque)

    def record(self, now: float) -> bool:
        """Count a restart at `now` and say whether the limit is passed."""
        self._times.append(now)
        while self._times and self._times[0] <= now - self.window:
            self._times.popleft()
        return len(self._times) > self.limit

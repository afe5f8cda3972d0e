"""How long to wait before trying again."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential waits with jitter, in seconds: `initial`, `initial * factor`, ... up to `maximum`.

    Jitter spreads the waits of many that failed together, so that they do not come back together.
    """

    initial: float = 0.1
    maximum: float = 60.0
    factor: float = 2.0
    jitter: float = 0.2

    def delay(self, attempt: int) -> float:
        """The wait before try number `attempt` (1 is the first one after a failure)."""
        # The exponent is held down: 2.0 ** 2000 overflows after a night of retries.
        wait = min(self.maximum, self.initial * self.factor ** min(attempt - 1, 64))
        return wait * (1 + random.uniform(-self.jitter, self.jitter))

"""What is found to be wrong with a resource."""

from __future__ import annotations

from typing import NamedTuple


class Flaw(NamedTuple):
    """What is wrong with a resource by itself; a warning is odd, and taken."""

    path: str
    reason: str
    warning: bool = False

"""What is wrong with a resource by itself."""

from __future__ import annotations

from typing import NamedTuple


class Flaw(NamedTuple):
    """Where it is, and why it is wrong; a warning is odd, and taken."""

    path: str
    reason: str
    warning: bool = False

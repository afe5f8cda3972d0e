"""What is wrong with resources as they stand beside others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from config.resources import AnyResource
from config.resources.identity import Identity

World = Mapping[Identity, AnyResource]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong (or, as a warning, odd) with a resource: at which path, and why."""

    identity: Identity
    path: str
    reason: str
    warning: bool = False

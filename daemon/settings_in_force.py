"""The settings as they are in force: those of the start, and what was taken over since while running."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from config.load import differences
from config.settings import Settings

# What follows a reload; everything else is read once, at the start.
_LIVE: Final = ("logging", "drain_seconds")


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload changed (dotted paths), and what it would change if the daemon were started again."""

    changed: tuple[str, ...]
    need_a_restart: tuple[str, ...]


class SettingsInForce(Mapping[str, Any]):
    """As a mapping: the settings that differ from their defaults, by dotted path, ready for JSON."""

    def __init__(self, settings: Settings) -> None:
        self.now = settings

    def take(self, settings: Settings) -> Reloaded:
        """Take over what can change while running."""
        before = self.now
        self.now = msgspec.structs.replace(before, **{name: getattr(settings, name) for name in _LIVE})
        return Reloaded(_changed(before, self.now), _changed(self.now, settings))

    def __getitem__(self, path: str) -> Any:
        return self._shown()[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._shown())

    def __len__(self) -> int:
        return len(self._shown())

    def _shown(self) -> dict[str, Any]:
        return {one.path: msgspec.to_builtins(one.value) for one in differences(self.now)}


def _changed(before: Settings, after: Settings) -> tuple[str, ...]:
    old = {one.path: one.value for one in differences(before)}
    new = {one.path: one.value for one in differences(after)}
    return tuple(sorted(path for path in old | new if old.get(path) != new.get(path)))

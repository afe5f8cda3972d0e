"""The scripts that are loaded in one process, as the daemon knows them. Pure."""

from __future__ import annotations

from collections import OrderedDict

from actors.functions.javascript.frames import Kind, Load, write_load, write_number
from actors.functions.javascript.messages import FunctionVersion


class LoadedScripts:
    """At most `most`, by the keys under which the process has them; who was called longest ago makes room."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys: OrderedDict[FunctionVersion, int] = OrderedDict()
        self._forgotten: list[int] = []
        self._last = 0

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, version: FunctionVersion) -> bool:
        return version in self._keys

    def __getitem__(self, version: FunctionVersion) -> int:
        return self._keys[version]

    def forget(self, name: str) -> None:
        """Unload all versions of a function, when the next script is made ready."""
        for version in [version for version in self._keys if version.name == name]:
            self._forgotten.append(self._keys.pop(version))

    def make_ready(self, version: FunctionVersion) -> bytes:
        """The frames that load the script, where it is not loaded, and unload what is not needed any more."""
        frames = [write_number(Kind.FORGET, key) for key in self._forgotten]
        self._forgotten.clear()
        if version in self._keys:
            self._keys.move_to_end(version)
        else:
            if len(self._keys) >= self._most:
                frames.append(write_number(Kind.FORGET, self._keys.popitem(last=False)[1]))
            self._last += 1
            self._keys[version] = self._last
            frames.append(write_load(Load(self._last, version.source)))
        return b"".join(frames)

"""Those who wait for a process: a line for each function, and the lines take turns. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence

from actors.functions.javascript.call import ScriptCall

Key = tuple[str, str]


class Lines:
    """At most `most` calls; where there is no room, the longest line gives way, so that nobody fills the room alone."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lines: OrderedDict[Key, deque[ScriptCall]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Key]:
        """The lines, whose turn it is first."""
        return iter(tuple(self._lines))

    def first(self, key: Key) -> ScriptCall | None:
        """The call whose turn it is in a line; None where nobody stands there."""
        line = self._lines.get(key)
        return line[0] if line else None

    def of_app(self, app: str | None) -> bool:
        """Whether any call of an app waits."""
        return any(key[0] == app for key in self._lines)

    @property
    def only(self) -> ScriptCall | None:
        """The call whose turn it is where there is but one line."""
        return next(iter(self._lines.values()))[0] if len(self._lines) == 1 else None

    def enter(self, call: ScriptCall) -> ScriptCall | None:
        """Wait in line. Where there is no room: the one who must go for that, who may be the call itself."""
        line = self._lines.get(call.line)
        gone = None
        if self._count >= self._most:
            longest = max(self._lines.values(), key=len)
            if len(longest) <= (0 if line is None else len(line)) + 1:
                return call
            gone = longest[-1]
            self.remove(gone)
        if line is None:
            line = self._lines[call.line] = deque()
        line.append(call)
        self._count += 1
        return gone

    def enter_again(self, call: ScriptCall) -> None:
        """Wait at the head of the line: its process ended before it had begun."""
        self._lines.setdefault(call.line, deque()).appendleft(call)
        self._count += 1

    def remove(self, call: ScriptCall) -> None:
        """Leave the line; nothing where the call stands in none."""
        line = self._lines.get(call.line)
        if line is None:
            return
        if line[0] is call:
            line.popleft()
        elif call in line:
            line.remove(call)
        else:
            return
        self._count -= 1
        if not line:
            del self._lines[call.line]

    def yield_turn(self, key: Key) -> None:
        """It is the other lines' turn now."""
        if key in self._lines:
            self._lines.move_to_end(key)

    def expired(self, now: float) -> Sequence[ScriptCall]:
        """Remove those whose patience is over."""
        late = [call for line in self._lines.values() for call in line if call.until < now]
        for call in late:
            self.remove(call)
        return late

    def clear(self) -> Sequence[ScriptCall]:
        """Remove all."""
        calls = [call for line in self._lines.values() for call in line]
        self._lines.clear()
        self._count = 0
        return calls

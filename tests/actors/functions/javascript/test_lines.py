"""Those who wait for a process."""

from __future__ import annotations

from actors.functions.javascript.call import ScriptCall
from actors.functions.javascript.lines import Lines
from actors.functions.javascript.messages import FunctionVersion
from tests.actors.functions.javascript.running import RecordingHost


def waiting(name: str, until: float = 10.0) -> ScriptCall:
    call = ScriptCall(FunctionVersion("parking", name, 1, ""), [b"1"], RecordingHost())
    call.until = until
    return call


def served(lines: Lines) -> list[ScriptCall]:
    """All of them, one of each line in turn."""
    order = []
    while lines:
        for key in lines:
            call = lines.first(key)
            assert call is not None
            lines.remove(call)
            lines.yield_turn(key)
            order.append(call)
    return order


def test_lines_take_turns() -> None:
    """However long the line of one function is, another's is served every second time."""
    lines = Lines(10)
    many, few = [waiting("many") for _ in range(3)], [waiting("few") for _ in range(2)]
    for call in (*many, *few):
        assert lines.enter(call) is None
    assert len(lines) == 5
    assert served(lines) == [many[0], few[0], many[1], few[1], many[2]]
    assert not len(lines)


def test_the_longest_line_makes_room() -> None:
    """Its last call goes for the first of another function; a call that would make its own the longest goes itself."""
    lines = Lines(3)
    many = [waiting("many") for _ in range(3)]
    for call in many:
        lines.enter(call)
    late = waiting("many")
    assert lines.enter(late) is late
    assert lines.enter(waiting("few")) is many[2]
    again = waiting("few")
    assert lines.enter(again) is again
    assert len(lines) == 3


def test_the_only_line() -> None:
    """The call whose turn it is is told where there is one line, and where there are more it is not."""
    lines = Lines(10)
    assert lines.only is None
    first, other = waiting("many"), waiting("few")
    lines.enter(first)
    lines.enter(waiting("many"))
    assert lines.only is first
    lines.enter(other)
    assert lines.only is None
    lines.remove(other)
    assert lines.only is first


def test_who_had_a_process_already_stands_first() -> None:
    """A call whose process ended before it had begun does not lose its place."""
    lines = Lines(1)
    lines.enter(waiting("many"))
    again = waiting("many")
    lines.enter_again(again)
    assert lines.first(again.line) is again
    assert len(lines) == 2


def test_who_leaves_is_forgotten() -> None:
    """From the head, the middle, the end; and once only."""
    lines = Lines(10)
    calls = [waiting("many") for _ in range(3)]
    for call in calls:
        lines.enter(call)
    for call in (calls[1], calls[0], calls[0], waiting("other"), calls[2]):
        lines.remove(call)
    assert not len(lines)
    assert list(lines) == []


def test_patience_ends() -> None:
    """Those whose time is over leave, wherever they stand."""
    lines = Lines(10)
    late, early = waiting("many", until=1.0), waiting("many", until=3.0)
    lines.enter(early)
    lines.enter(late)
    assert lines.expired(2.0) == [late]
    assert lines.clear() == [early]
    assert not len(lines)


def test_who_waits_of_an_app() -> None:
    """Whether an app waits is known while any of its calls does."""
    lines = Lines(10)
    call = waiting("many")
    lines.enter(call)
    assert lines.of_app("parking")
    assert not lines.of_app("garage")
    assert not lines.of_app(None)
    lines.remove(call)
    assert not lines.of_app("parking")

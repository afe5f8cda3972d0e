"""Laws of the frames between the daemon and the processes of scripts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.functions.javascript.frames import (
    HEADER_BYTES,
    MAX_FRAME,
    Answer,
    Ask,
    Call,
    FrameError,
    FrameReader,
    Kind,
    Load,
    Result,
    Status,
    frame,
    read_answer,
    read_ask,
    read_call,
    read_load,
    read_number,
    read_results,
    write_answer,
    write_ask,
    write_call,
    write_load,
    write_number,
    write_results,
)

NUMBERS = st.integers(0, 2**32 - 1)
SIZES = st.builds(Result, st.just(Status.TOO_LARGE), st.integers(0, 10**15).map(lambda size: str(size).encode()))
OTHERS = st.builds(
    Result, st.sampled_from([one for one in Status if one is not Status.TOO_LARGE]), st.binary(max_size=64)
)
RESULTS = st.lists(SIZES | OTHERS, max_size=5)


@given(
    call=st.builds(
        Call, NUMBERS, NUMBERS, st.floats(0, 60), st.integers(0, 2**40), st.integers(0, 2**40),
        st.lists(st.binary(max_size=64), max_size=5),
    ),
    load=st.builds(Load, NUMBERS, st.text(st.characters(exclude_categories=["Cs"]), max_size=64)),
    answer=st.builds(Answer, NUMBERS, NUMBERS, st.booleans(), st.binary(max_size=64)),
    ask=st.builds(Ask, NUMBERS, st.binary(max_size=64)),
    results=RESULTS,
    cuts=st.lists(st.integers(1, 50), max_size=40),
)  # fmt: skip
def test_what_is_written_is_read(  # noqa: PLR0917 - one of each
    call: Call, load: Load, answer: Answer, ask: Ask, results: list[Result], cuts: list[int]
) -> None:
    """Frames come out as they went in, however the bytes are cut."""
    data = write_call(call) + write_load(load) + write_answer(answer) + write_ask(ask)
    data += write_results(7, results) + write_number(Kind.CANCEL, 9) + frame(Kind.READY)
    reader, frames, start = FrameReader(), [], 0
    for length in [*cuts, len(data)]:
        frames += reader.feed(data[start : start + length])
        start += length
    bodies = dict(frames)
    assert read_call(bodies[Kind.CALL]) == call
    assert read_load(bodies[Kind.LOAD]) == load
    assert read_answer(bodies[Kind.ANSWER]) == answer
    assert read_ask(bodies[Kind.ASK]) == ask
    assert read_results(bodies[Kind.RESULTS], len(results)) == (7, results)
    assert read_number(bodies[Kind.CANCEL]) == 9
    assert [kind for kind, _ in frames][-1] is Kind.READY


@given(st.binary(max_size=200))
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    """Whatever a process sends, it is frames, or nothing yet, or a FrameError; nothing else is raised."""
    try:
        for kind, body in FrameReader().feed(data):
            if kind is Kind.RESULTS:
                read_results(body, 3)
            elif kind is Kind.ASK:
                read_ask(body)
    except FrameError:
        pass


def test_a_frame_has_a_bound() -> None:
    """A header that promises more is refused before anything of it is kept."""
    with pytest.raises(FrameError, match="at most"):
        FrameReader().feed((MAX_FRAME + 1).to_bytes(4, "little") + bytes(HEADER_BYTES - 4))
    with pytest.raises(FrameError, match="are more than"):
        frame(Kind.LOG, bytes(MAX_FRAME + 1))

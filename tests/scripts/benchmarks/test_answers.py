"""Answers cut out of the bytes of a connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.benchmarks.answers import Answers

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\nX-Request-Id: a-1\r\n\r\n" + b'{"answer":"ok"}'
GONE = b"HTTP/1.1 404 Not Found\r\nX-Request-Id: a-2\r\ncontent-length: 4\r\n\r\ngone"
EMPTY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length:0\r\n\r\n"


@given(st.lists(st.sampled_from([(OK, 200), (GONE, 404), (EMPTY, 503)])), st.data())
def test_answers_are_found_however_they_are_cut(expected: list[tuple[bytes, int]], data: st.DataObject) -> None:
    """Their statuses come once each and in order, wherever the network cuts the bytes."""
    wire = b"".join(answer for answer, _ in expected)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)))))
    answers = Answers()
    found = []
    for begin, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        found += answers.receive(wire[begin:end])
    assert found == [status for _, status in expected]


def test_a_body_that_looks_like_an_answer_is_none() -> None:
    """The length says where an answer ends, not what stands in it."""
    body = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    assert Answers().receive(wire + GONE) == [200, 404]


def test_an_answer_without_a_length_is_an_error() -> None:
    """Guessing where it ends would count what comes next wrongly."""
    with pytest.raises(ValueError, match="does not tell its length"):
        Answers().receive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

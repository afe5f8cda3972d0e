import structlog
import trio.testing

from actors.runtime.log_limiter import LogLimiter


async def test_lines_beyond_the_rate_are_left_out_and_counted(mock_clock: trio.testing.MockClock) -> None:
    """Whatever clients do, the log grows by a bounded number of lines a second, and says what is missing."""
    with structlog.testing.capture_logs() as lines:
        limiter = LogLimiter(per_second=2)
        for number in range(5):
            limiter.warning("Closed", number=number)
        mock_clock.jump(1.0)
        limiter.info("Closed", number=5)
        limiter.info("Closed", number=6)
    assert [(line["number"], line.get("left_out")) for line in lines] == [(0, None), (1, None), (5, 3), (6, None)]


async def test_flush_says_what_no_later_line_said(mock_clock: trio.testing.MockClock) -> None:
    """A burst that nothing follows still leaves its count."""
    with structlog.testing.capture_logs() as lines:
        limiter = LogLimiter(per_second=1)
        limiter.info("Closed")
        limiter.info("Closed")
        limiter.flush()
        mock_clock.jump(1.0)
        limiter.flush()
        limiter.flush()
    assert [line.get("left_out") for line in lines] == [None, 1]


async def test_a_mistake_of_the_program_comes_with_its_traceback(mock_clock: trio.testing.MockClock) -> None:
    """Also a crash that a client can repeat fills no disk."""
    with structlog.testing.capture_logs() as lines:
        limiter = LogLimiter(per_second=1)
        for _ in range(3):
            try:
                _ = 1 / 0
            except ZeroDivisionError:
                limiter.exception("Crashed", who="x")
    assert [(line["event"], line["log_level"], line["exc_info"]) for line in lines] == [("Crashed", "error", True)]

"""What every test gets, whether it asks for it or not."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _log_settings_end_with_their_test() -> Iterator[None]:
    """Programs configure logging for their process; in a test that would outlive the stream that they log to."""
    yield
    structlog.reset_defaults()

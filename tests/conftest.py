"""What every test gets, whether it asks for it or not."""

import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

# How long an example takes says something about the machine, not about the law.
settings.register_profile("here", deadline=None)
# Where a change is judged, the same examples each time; new ones are looked for wherever the tests run by hand.
settings.register_profile("judged", deadline=None, derandomize=True)
settings.load_profile("judged" if os.environ.get("CI") else "here")


@pytest.fixture(autouse=True)
def _log_settings_end_with_their_test() -> Iterator[None]:
    """Programs configure logging for their process; in a test that would outlive the stream that they log to."""
    yield
    structlog.reset_defaults()

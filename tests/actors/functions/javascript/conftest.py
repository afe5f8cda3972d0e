from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.actors.functions.javascript.running import Scripts


@pytest.fixture(scope="session")
def scripts() -> Iterator[Scripts]:
    with Scripts() as running:
        yield running

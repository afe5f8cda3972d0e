from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.actors.functions.javascript.running import Scripts, children, descriptors


@pytest.fixture(scope="session")
def scripts() -> Iterator[Scripts]:
    with Scripts() as running:
        yield running


@pytest.fixture
def nothing_leaks() -> Iterator[None]:
    before, processes = descriptors(), len(children())
    yield
    assert len(children()) == processes
    assert descriptors() <= before + 2  # what trio keeps for later

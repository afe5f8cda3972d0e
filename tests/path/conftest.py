"""The parking lot of the example, running."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.daemon import ChildDaemon
from tests.path.lot import EXAMPLE, ParkingLot


@pytest.fixture(scope="module")
def parking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ParkingLot]:
    """A daemon to which the example was applied as it stands, by the command line."""
    with ChildDaemon(tmp_path_factory.mktemp("parking") / "data") as daemon:
        applied = daemon.penstock("apply", "-f", str(EXAMPLE))
        assert applied.returncode == 0, applied.stderr
        yield ParkingLot(daemon, applied.stdout)
        assert daemon.stop() == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder of the test's own."""
    return tmp_path / "data"

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from daemon.cli.main import main
from tests.daemon.cli.fake import FakeControl, fake_control


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Penstock = Callable[..., Ended]


@pytest.fixture
def penstock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Penstock:
    """Run a command in a folder of its own, in this process."""
    monkeypatch.chdir(tmp_path)
    for name in ("PENSTOCK_DATA", "PENSTOCK_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["penstock", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return Ended(int(end.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def control(tmp_path: Path) -> Iterator[FakeControl]:
    """A daemon's control API on the default data folder of `penstock`."""
    (tmp_path / "var").mkdir()
    with fake_control(tmp_path / "var") as fake:
        yield fake

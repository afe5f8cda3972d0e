"""`penstock user`: where the password comes from, and where the token goes."""

from __future__ import annotations

import io
import json
import sys

import pytest

from tests.daemon.cli.conftest import Penstock
from tests.daemon.cli.fake import FakeControl


def test_a_password_is_read_from_a_pipe(
    penstock: Penstock, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No prompt where nobody sees it, and the token alone on standard output, so that scripts can take it."""
    monkeypatch.delenv("PENSTOCK_PASSWORD", raising=False)
    control.on("POST", "tokens", {"token": "t", "expires": "2026-01-01"})
    monkeypatch.setattr(sys, "stdin", io.StringIO("pass word \n"))
    assert penstock("user", "token", "anna") == (0, "t\n", "expires 2026-01-01\n")
    assert json.loads(control.requests[-1].body) == {"user": "anna", "password": "pass word "}
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    ended = penstock("user", "token", "anna")
    assert ended.code == 2
    assert "PENSTOCK_PASSWORD" in ended.err

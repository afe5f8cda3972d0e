import socket
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from daemon.systemd import notify


def test_without_a_manager_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Started by hand, nobody is told and nothing is logged."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    with capture_logs() as lines:
        notify("READY=1")
    assert lines == []


def test_an_abstract_socket_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that begins with @ is an abstract socket (sd_notify(3))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("")  # the kernel picks a free abstract name
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + manager.getsockname()[1:].decode())
        notify("READY=1")
        manager.settimeout(5)
        assert manager.recv(100) == b"READY=1"


def test_a_manager_that_does_not_listen_is_no_reason_to_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stale NOTIFY_SOCKET makes one warning."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    with capture_logs() as lines:
        notify("READY=1")
    assert [line["event"] for line in lines] == ["service manager not notified"]


def test_a_manager_that_does_not_read_holds_up_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the manager's socket is full the word is dropped, not waited for."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with capture_logs() as lines:
            while not lines:
                notify("READY=1")
    assert lines[0]["event"] == "service manager not notified"

from dataclasses import dataclass

from actors.device_session.statuses import REJECTED_KEPT, Statuses


@dataclass(eq=False)
class Living:
    client_id: str
    address: str = "127.0.0.1:5"


def test_a_device_is_online_exactly_while_a_session_lives() -> None:
    """The last session to end says since when and why it is offline."""
    statuses = Statuses()
    assert not statuses.view("p/d").online
    assert "never connected" in statuses.view("p/d").reason
    status = statuses.of("p/d")
    one, two = Living("one"), Living("two")
    status.joined(one)
    status.joined(two)
    view = statuses.view("p/d")
    assert view.online
    assert view.client_ids == ("one", "two")
    assert "127.0.0.1:5" in view.reason
    status.left(one, "taken over")
    assert statuses.view("p/d").online
    status.left(two, "keep alive ran out")
    assert not statuses.view("p/d").online
    assert statuses.view("p/d").reason == "keep alive ran out"
    assert statuses.view("p/d").since is not None


def test_rejected_reports_are_counted_for_ever_and_remembered_for_a_while() -> None:
    """Memory for each device is bounded; the newest reports with their reasons stay."""
    statuses = Statuses()
    status = statuses.of("p/d")
    for number in range(REJECTED_KEPT + 5):
        status.reject("p/out/d", f"reason {number} " + "x" * 10_000)
    view = statuses.view("p/d")
    assert view.rejected == REJECTED_KEPT + 5
    assert len(view.rejected_reports) == REJECTED_KEPT
    assert view.rejected_reports[-1].reason.startswith(f"reason {REJECTED_KEPT + 4} ")
    assert all(len(report.reason) <= 300 for report in view.rejected_reports)


def test_deleted_devices_are_forgotten() -> None:
    """There are never more statuses than devices."""
    statuses = Statuses()
    for name in ("p/a", "p/b", "p/c"):
        statuses.of(name).reports = 1
    statuses.forget("p/a")
    statuses.forget("p/never")
    statuses.retain({"p/b"})
    assert [statuses.view(name).reports for name in ("p/a", "p/b", "p/c")] == [0, 1, 0]

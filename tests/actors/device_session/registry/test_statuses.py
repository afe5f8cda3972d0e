from dataclasses import dataclass

from actors.device_session.registry.statuses import REJECTED_KEPT, Statuses


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
    for name in ("p/a", "p/b"):
        statuses.of(name).reports = 1
    statuses.forget("p/a")
    statuses.forget("p/never")
    assert [statuses.view(name).reports for name in ("p/a", "p/b")] == [0, 1]


def test_changes_of_state_are_due_at_once_and_mere_reports_after_a_while() -> None:
    """Coming, leaving and a rejected report are due each time; reports alone only once in `patience` seconds."""
    statuses = Statuses()
    status, session = statuses.of("p/d"), Living("d")
    for change in (lambda: status.joined(session), lambda: status.reject("t", "no"), lambda: status.left(session, "")):
        change()
        assert list(statuses.take_due(100.0, patience=60, most=10)) == ["p/d"]
        assert statuses.take_due(100.0, patience=60, most=10) == {}
    status.reports += 1
    assert statuses.take_due(159.0, patience=60, most=10) == {}
    assert statuses.take_due(160.0, patience=60, most=10)["p/d"].reports == 1


def test_a_round_is_bounded_and_takes_those_that_waited_longest() -> None:
    """However many are due, a round brings at most `most`; nobody is passed over for ever."""
    statuses = Statuses()
    for number in range(25):
        statuses.of(f"p/{number}").reports = 1
    seen: list[str] = []
    for now in range(3):
        for number in range(25):
            statuses.of(f"p/{number}").reports += 1
        seen += statuses.take_due(float(now), patience=0, most=10)
    assert len(seen) == 30
    assert set(seen) == {f"p/{number}" for number in range(25)}


def test_what_could_not_be_kept_is_due_again() -> None:
    """After a failed keeping the status is due at once, with what has changed meanwhile."""
    statuses = Statuses()
    statuses.of("p/d").reject("t", "no")
    taken = statuses.take_due(1.0, patience=60, most=10)
    statuses.put_back([*taken, "p/gone"])
    statuses.of("p/d").reject("t", "no again")
    assert statuses.take_due(1.0, patience=60, most=10)["p/d"].rejected == 2


def test_a_restored_status_goes_on_and_is_not_due() -> None:
    """What was known before is shown and counted on; only what changes after it is kept anew."""
    statuses, before = Statuses(), Statuses()
    before.of("p/d").reject("t", "no")
    before.of("p/d").reports = 7
    statuses.restore("p/d", before.view("p/d"))
    assert statuses.view("p/d") == before.view("p/d")
    assert statuses.take_due(1.0, patience=0, most=10) == {}
    statuses.of("p/d").reject("t", "again")
    assert [report.reason for report in statuses.view("p/d").rejected_reports] == ["no", "again"]

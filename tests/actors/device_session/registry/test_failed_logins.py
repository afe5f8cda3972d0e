import pytest

from actors.device_session.registry import failed_logins
from actors.device_session.registry.failed_logins import FailedLogins, source_of
from config.settings import FailedLoginSettings

SETTINGS = FailedLoginSettings(attempts=3, attempts_per_address=6, window=60.0, lock=30.0)
HOME, ELSEWHERE = "192.0.2.1", "192.0.2.2"


def fail(logins: FailedLogins, source: str, name: str, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        logins.failed(source, name, now)


def test_a_name_is_locked_only_where_it_was_guessed_at() -> None:
    """Somebody who guesses elsewhere never locks a device out: the lock is for the address and the name together."""
    logins = FailedLogins(SETTINGS)
    fail(logins, ELSEWHERE, "p/lot", 3)
    assert logins.locks(ELSEWHERE, "p/lot", 1.0)
    assert not logins.locks(HOME, "p/lot", 1.0)
    assert not logins.locks(ELSEWHERE, "p/other", 1.0)


def test_a_lock_ends() -> None:
    """After its time the name may try again, from nothing."""
    logins = FailedLogins(SETTINGS)
    fail(logins, HOME, "p/lot", 3)
    assert logins.locks(HOME, "p/lot", 29.9)
    assert not logins.locks(HOME, "p/lot", 30.0)
    fail(logins, HOME, "p/lot", 2, now=30.0)
    assert not logins.locks(HOME, "p/lot", 30.0)


def test_one_who_mistypes_now_and_then_is_never_locked() -> None:
    """Only what is wrong within the window counts, and what is right in between begins anew."""
    logins = FailedLogins(SETTINGS)
    for now in range(0, 600, 40):
        fail(logins, HOME, "p/lot", 1, float(now))
        assert not logins.locks(HOME, "p/lot", float(now))
    for now in range(10):
        fail(logins, HOME, "p/lot", 2, float(now) * 61)
        logins.succeeded(HOME, "p/lot")
        assert not logins.locks(HOME, "p/lot", float(now) * 61)


def test_an_address_that_tries_many_names_is_locked_whole() -> None:
    """Names that exist and names that do not alike: a lock is no oracle."""
    logins = FailedLogins(SETTINGS)
    for number in range(6):
        fail(logins, ELSEWHERE, f"p/{number}", 1)
    assert logins.locks(ELSEWHERE, "p/lot", 1.0)
    assert logins.locks(ELSEWHERE, "nobody", 1.0)
    assert not logins.locks(HOME, "p/lot", 1.0)


def test_who_logged_in_from_an_address_is_not_shut_out_with_it() -> None:
    """A fleet behind one address goes on while somebody behind the same address guesses; the guessed name does not."""
    logins = FailedLogins(SETTINGS)
    logins.succeeded(HOME, "p/lot")
    for number in range(6):
        fail(logins, HOME, f"p/{number}", 1)
    assert not logins.locks(HOME, "p/lot", 1.0)
    fail(logins, HOME, "p/lot", 3, now=1.0)
    assert logins.locks(HOME, "p/lot", 1.0)


def test_the_tables_are_bounded_and_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many addresses guess, no more is remembered than fits; what is over is forgotten."""
    monkeypatch.setattr(failed_logins, "REMEMBERED", 100)
    logins = FailedLogins(SETTINGS)
    for number in range(1000):
        fail(logins, f"s{number}", "p/lot", 3)
        logins.succeeded(f"s{number}", "p/good")
    tables = (logins._sources, logins._pairs, logins._known)
    assert [len(table) for table in tables] == [100, 100, 100]
    assert logins.locks("s999", "p/lot", 1.0)
    logins.sweep(59.0)
    assert len(logins._pairs) == 100
    logins.sweep(61.0)
    assert not logins._pairs
    assert not logins._sources


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:2", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_source_is_an_address_or_the_network_that_comes_with_it(host: str, source: str) -> None:
    """One who has an IPv6 network does not have 2^64 tries."""
    assert source_of(host) == source

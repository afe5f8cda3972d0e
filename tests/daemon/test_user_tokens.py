from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from actors.directory.entries import UserEntry
from actors.directory.lockout import FAILURES, LOCKED_SECONDS
from actors.directory.users import Users
from daemon.passwords import hash_password, is_password
from daemon.user_tokens import LoginError, UserTokens

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def someone(name: str = "ada", password: str = "right", *, enabled: bool = True) -> UserEntry:
    return UserEntry(name, CHEAP.hash(password), enabled=enabled)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def users() -> Users:
    users = Users(lambda secret: secret[::-1])
    users.put(someone())
    return users


@pytest.fixture
def tokens(users: Users, clock: Clock) -> UserTokens:
    return UserTokens(users, 60, clock)


async def refused(tokens: UserTokens, password: str, name: str = "ada") -> str:
    with pytest.raises(LoginError) as caught:
        await tokens.issue(name, password)
    return str(caught.value)


async def test_the_password_makes_a_token_that_ends(tokens: UserTokens, users: Users, clock: Clock) -> None:
    """A token lasts as long as it is set to, and stands for its user."""
    issued = await tokens.issue("ada", "right")
    assert issued.expires == clock.now + 60
    assert users.holder(issued.token, clock.now + 59).name == "ada"


async def test_every_refusal_sounds_alike(tokens: UserTokens, users: Users) -> None:
    """Nobody learns from a refusal whether there is such a user, or what is wrong with them."""
    users.put(someone("off", enabled=False))
    users.put(UserEntry("forgotten"))
    said = {
        await refused(tokens, "wrong"),
        await refused(tokens, "right", "nobody"),
        await refused(tokens, "right", "off"),
        await refused(tokens, "", "forgotten"),
        await refused(tokens, "right" + "x" * 5000),
    }
    assert len(said) == 1


async def test_five_failures_lock_for_five_minutes(tokens: UserTokens, clock: Clock) -> None:
    """After five wrong passwords the right one is refused for five minutes; before, it makes them forgotten."""
    for _ in range(2):
        for _ in range(FAILURES - 1):
            await refused(tokens, "wrong")
        await tokens.issue("ada", "right")
    for _ in range(FAILURES):
        await refused(tokens, "wrong")
    await refused(tokens, "right")
    clock.now += LOCKED_SECONDS + 1
    await tokens.issue("ada", "right")


async def test_another_password_opens_the_lock(tokens: UserTokens, users: Users) -> None:
    """Whoever gives a user a new password lets them in at once."""
    for _ in range(FAILURES):
        await refused(tokens, "wrong")
    users.put(someone(password="new"))
    await tokens.issue("ada", "new")


def test_hashes_are_argon2id() -> None:
    """A password is kept as an argon2id hash of its own, and what is no hash is nobody's password."""
    hashed = hash_password("horse")
    assert hashed.startswith("$argon2id$")
    assert is_password(hashed, "horse")
    assert not is_password(hashed, "Horse")
    assert not is_password("horse", "horse")

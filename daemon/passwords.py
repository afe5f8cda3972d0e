"""People's passwords: argon2id hashes (RFC 9106), which cost 64 MiB and a tenth of a second each. Never on the loop."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

# The hash of a password that nobody knows: asking for somebody unknown costs as much as for anybody else.
NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$G02TcYLmXRAx9pll9CQDKw$inXkHIGP6ZLH0Ky92V9M8qXuuxtWe1FLJu0xHwdasH8"


def hash_password(password: str) -> str:
    """A hash to keep; made anew, the same password makes another one."""
    return PasswordHasher().hash(password)


def is_password(hashed: str, password: str) -> bool:
    """Whether a password is the one that was hashed; false for what is no hash."""
    try:
        return PasswordHasher().verify(hashed, password)
    except (Argon2Error, InvalidHashError):
        return False

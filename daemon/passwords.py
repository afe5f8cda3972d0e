"""People's passwords: argon2id hashes (RFC 9106), which cost 64 MiB and a tenth of a second each. Never on the loop."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

# The hash of a password that nobody knows: asking for somebody unknown costs as much as for anybody else.
NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$eRVbMrcv4uxQGHZ0jBZ5Gw$4CydA9v5+0nbNrMQ3T6YyWkrZOdR1Yr9cRgQxVWn3xQ"


def hash_password(password: str) -> str:
    """A hash to keep; made anew, the same password makes another one."""
    return PasswordHasher().hash(password)


def is_password(hashed: str, password: str) -> bool:
    """Whether a password is the one that was hashed; false for what is no hash."""
    try:
        return PasswordHasher().verify(hashed, password)
    except (Argon2Error, InvalidHashError):
        return False

"""Keys that requests are signed with. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """A secret for HMAC-SHA-256, set up once; it is shown by nothing. An empty one is false, and is nobody's."""

    secret: bytes
    _prepared: HMAC = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Do what every signature would begin with."""
        object.__setattr__(self, "_prepared", HMAC(self.secret, SHA256()))

    def sign(self, data: bytes) -> bytes:
        """The 32 bytes of the HMAC."""
        prepared = self._prepared.copy()
        prepared.update(data)
        return prepared.finalize()

    def __bool__(self) -> bool:
        return bool(self.secret)

    def __repr__(self) -> str:
        return "SigningKey(***)"


NO_KEY = SigningKey(b"")

"""Users as callers: by a token that the control plane issued, or signed with an access key."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from actors.directory.signing import SigningKey
from actors.directory.users import TokenError, TokenExpiredError, Users
from actors.gateway_route.auth.identify import Named, Read
from actors.gateway_route.auth.signature import ALGORITHM
from actors.gateway_route.auth.signatures import Signatures
from actors.gateway_route.call import Call
from actors.http_calls.errors import BAD_USER, TOKEN_EXPIRED, CallRefusedError
from actors.wire.http.messages import HeaderFields

_TOKEN_HEADER = "x-auth-token"  # noqa: S105 - the name of a header
_CHALLENGE: HeaderFields = (("WWW-Authenticate", f'{ALGORITHM} realm="penstock"'),)


class UserMethods:
    """Both ways in which users show who they are; `clock` is the wall clock, in seconds."""

    def __init__(self, users: Users, clock: Callable[[], float], *, unsigned_payload: bool = False) -> None:
        self._users = users
        self._clock = clock
        self._signatures = Signatures(
            self._holders, refuse_user, clock, unsigned_payload=unsigned_payload, lockout=users.keys
        )

    def compile(self) -> tuple[tuple[Read, ...], Callable[[], CallRefusedError]]:
        """Readers, and what makes the error for a caller that shows nothing that one of them reads."""
        return (self._by_token, self._signatures.read), refuse_user

    def _holders(self, key: str) -> Iterable[tuple[str, SigningKey]]:
        return [(one.user, one.signing_key) for one in self._users.keys_named(key)]

    def _by_token(self, call: Call) -> Named:
        tokens = call.request.header_values(_TOKEN_HEADER)
        if not tokens:
            return None
        if len(tokens) != 1:
            raise refuse_user("X-Auth-Token is there twice")
        try:
            return self._users.holder(tokens[0], self._clock()).name
        except TokenExpiredError:
            raise CallRefusedError(TOKEN_EXPIRED, headers=_CHALLENGE) from None
        except TokenError as error:
            raise refuse_user(str(error)) from None


def refuse_user(detail: str = "") -> CallRefusedError:
    """401, and what it takes instead."""
    return CallRefusedError(BAD_USER, detail, _CHALLENGE)

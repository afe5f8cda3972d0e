"""Bearer tokens that others issue: JSON Web Tokens (RFC 7519, RFC 6750), checked as RFC 8725 asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import jwt

from actors.gateway_route.auth.jwks import Key, KeySet, KeySourceError
from actors.gateway_route.call import Call, Caller
from actors.http_calls.errors import BAD_TOKEN, KEYS_UNAVAILABLE, CallRefusedError
from config.resources import Jwt

_CHALLENGE = (("WWW-Authenticate", 'Bearer realm="penstock"'),)
_BAD = (("WWW-Authenticate", 'Bearer realm="penstock", error="invalid_token"'),)
# A set without key ids may have several keys that fit; so many are tried.
_MAX_TRIED = 10


class BearerTokens:
    """Checks the bearer tokens of one route: signature, issuer, audience, times and required claims.

    A token must end: one without `exp` is refused. Only the algorithms that the route names are taken, and each only
    with a key of its own type, so that neither `none` nor a public key used as a secret gets through. `clock` is the
    wall clock, in seconds.
    """

    def __init__(self, settings: Jwt, keys: KeySet, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock
        self._required = ["exp", *settings.required_claims]
        if settings.issuer is not None:
            self._required.append("iss")
        if settings.audience:
            self._required.append("aud")

    def __call__(self, call: Call) -> Awaitable[None] | None:
        """See Identify."""
        token = _token(call)
        key_id, algorithm = self._header(token)
        keys = self._keys.find(key_id, algorithm) if self._keys.fresh else []
        if not keys:
            return self._with_new_keys(call, token, key_id, algorithm)
        call.caller = self._caller(token, algorithm, keys)
        return None

    async def _with_new_keys(self, call: Call, token: str, key_id: str | None, algorithm: str) -> None:
        try:
            await self._keys.renew()
        except KeySourceError as error:
            raise CallRefusedError(KEYS_UNAVAILABLE) from error
        keys = self._keys.find(key_id, algorithm)
        if not keys:
            raise _refused("no key of the issuer fits the token")
        call.caller = self._caller(token, algorithm, keys)

    def _header(self, token: str) -> tuple[str | None, str]:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise _refused("the token is malformed") from None
        algorithm = header.get("alg")
        if algorithm not in self._settings.algorithms:
            raise _refused("the token's algorithm is not taken")
        key_id = header.get("kid")
        return (key_id if isinstance(key_id, str) else None), algorithm

    def _caller(self, token: str, algorithm: str, keys: list[Key]) -> Caller:
        claims = self._claims(token, algorithm, keys)
        self._check_times(claims)
        subject = claims.get("sub")
        return Caller("jwt", subject if isinstance(subject, str) else "", None, claims)

    def _claims(self, token: str, algorithm: str, keys: list[Key]) -> Mapping[str, Any]:
        settings = self._settings
        for key in keys[:_MAX_TRIED]:
            try:
                return jwt.decode(
                    token,
                    key.loaded,
                    algorithms=[algorithm],
                    audience=list(settings.audience) or None,
                    issuer=settings.issuer,
                    options={
                        "require": self._required,
                        "verify_aud": bool(settings.audience),
                        "verify_iss": settings.issuer is not None,
                        # By this gateway's clock, below.
                        "verify_exp": False,
                        "verify_nbf": False,
                        "verify_iat": False,
                        "enforce_minimum_key_length": True,
                    },
                )
            except jwt.InvalidSignatureError:
                continue
            except jwt.MissingRequiredClaimError as error:
                raise _refused(f"the claim {error.claim} is missing") from None
            except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
                raise _refused(_reason(error)) from None
        raise _refused("the signature is wrong")

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        """`exp`, `nbf` and `iat` (RFC 7519 4.1.4 to 4.1.6), with some leeway for clocks."""
        now, skew = self._clock(), self._settings.clock_skew
        times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
        if any(isinstance(at, bool) or not isinstance(at, int | float) for at in times.values()):
            raise _refused("exp, nbf and iat are numbers")
        if not now < times["exp"] + skew:
            raise _refused("the token has expired")
        if any(at > now + skew for name, at in times.items() if name != "exp"):
            raise _refused("the token is not valid yet")


def load_key(one: dict[str, Any]) -> jwt.PyJWK:
    """See LoadKey."""
    try:
        return jwt.PyJWK.from_dict(one)
    except (jwt.PyJWTError, TypeError) as error:
        raise ValueError("the key is of a kind that is not known here") from error


def _token(call: Call) -> str:
    values = call.request.header_values("authorization")
    scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token.strip():
        raise CallRefusedError(BAD_TOKEN, headers=_CHALLENGE)
    return token.strip()


def _reason(error: Exception) -> str:
    match error:
        case jwt.InvalidIssuerError():
            return "the issuer is another one"
        case jwt.InvalidAudienceError():
            return "the token is for another audience"
        case _:
            return "the token is not valid"


def _refused(detail: str) -> CallRefusedError:
    return CallRefusedError(BAD_TOKEN, detail, _BAD)

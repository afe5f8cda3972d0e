"""Who signed a request; its body is read only where the verdict hangs on it, and not before the rest is right."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable
from hashlib import sha256

import trio

from actors.directory.lockout import Lockout
from actors.directory.signing import SigningKey
from actors.gateway_route.auth import signature
from actors.gateway_route.auth.identify import Named
from actors.gateway_route.auth.signature import EMPTY_PAYLOAD, UNSIGNED_PAYLOAD, SignatureError, SignedRequest
from actors.gateway_route.call import Call
from actors.http_calls.errors import CallRefusedError
from actors.wire.http.messages import Request

Holders = Callable[[str], Iterable[tuple[str, SigningKey]]]
"""Name and signing key of each who has a key: one, but for moments in which a manifest replaces another."""

_WRONG = "the signature does not match"
_OTHER_BODY = "X-Sdk-Content-Sha256 is not the hash of the body"
# Signs for keys that nobody has, so that asking for them takes the same time.
_NOBODY = SigningKey(b"nobody")
# Above it, hashing takes longer than others should wait.
_HASHED_AT_ONCE = 256 * 1024


class Signatures:
    """Reads signed requests of one route.

    `refuse` makes the error out of a detail. `lockout` counts by key who signs wrong; None counts nobody.
    """

    __slots__ = ("_clock", "_holders", "_lockout", "_refuse", "_threads", "_unsigned_payload")

    def __init__(
        self,
        holders: Holders,
        refuse: Callable[[str], CallRefusedError],
        clock: Callable[[], float],
        *,
        unsigned_payload: bool,
        lockout: Lockout | None = None,
    ) -> None:
        self._holders = holders
        self._refuse = refuse
        self._clock = clock
        self._unsigned_payload = unsigned_payload
        self._lockout = lockout
        self._threads = trio.CapacityLimiter(1)

    def read(self, call: Call) -> Named:
        """The name of who signed; None where nobody says so."""
        request = call.request
        authorization = request.header("authorization")
        if authorization is None or not signature.is_signed(authorization):
            return None
        try:
            signed = signature.read(request, self._clock())
        except SignatureError as error:
            raise self._refuse(str(error)) from None
        self._check_lock(signed.key)
        if not request.body:
            return self._without_body(signed)
        return self._with_body(signed, request)

    def _without_body(self, signed: SignedRequest) -> str:
        if signed.payload in (None, EMPTY_PAYLOAD):
            return self._signer(signed, EMPTY_PAYLOAD)
        if signed.payload != UNSIGNED_PAYLOAD:
            raise self._refuse(_OTHER_BODY)
        # Where there is nothing to sign, SDKs say UNSIGNED-PAYLOAD and sign the empty body all the same.
        accepted = (EMPTY_PAYLOAD, UNSIGNED_PAYLOAD) if self._unsigned_payload else (EMPTY_PAYLOAD,)
        return self._signer(signed, *accepted)

    def _with_body(self, signed: SignedRequest, request: Request) -> str | Awaitable[str]:
        payload = signed.payload
        if payload is None:
            if not any(held for _, held in self._holders(signed.key)):
                raise self._refuse(_WRONG)
            return self._over_body(signed, request)
        if payload == UNSIGNED_PAYLOAD and not self._unsigned_payload:
            raise self._refuse(f"this API does not take {UNSIGNED_PAYLOAD}")
        name = self._signer(signed, payload)
        return name if payload == UNSIGNED_PAYLOAD else self._same_body(name, payload, request)

    async def _over_body(self, signed: SignedRequest, request: Request) -> str:
        payload = await self._hash(await request.read())
        self._check_lock(signed.key)  # others may have failed while the body came in
        return self._signer(signed, payload)

    async def _same_body(self, name: str, payload: str, request: Request) -> str:
        if not hmac.compare_digest(await self._hash(await request.read()), payload.lower()):
            raise self._refuse(_OTHER_BODY)
        return name

    async def _hash(self, body: bytes) -> str:
        if len(body) <= _HASHED_AT_ONCE:
            return sha256(body).hexdigest()
        return (await trio.to_thread.run_sync(sha256, body, limiter=self._threads)).hexdigest()

    def _signer(self, signed: SignedRequest, *payloads: str) -> str:
        """Who signed with one of these as the payload's hash."""
        known = False
        for name, held in self._holders(signed.key):
            if not held.secret:
                continue  # it was forgotten: everybody could sign with it
            known = True
            for payload in payloads:
                if signed.matches(held, payload):
                    if self._lockout is not None:
                        self._lockout.passed(signed.key)
                    return name
        if not known:
            for payload in payloads:
                signed.matches(_NOBODY, payload)
        elif self._lockout is not None:
            self._lockout.failed(signed.key, self._clock())
        raise self._refuse(_WRONG)

    def _check_lock(self, key: str) -> None:
        if self._lockout is not None and (left := self._lockout.locked_for(key, self._clock())):
            raise self._refuse(f"there were too many failures; try again in {left:.0f} seconds")

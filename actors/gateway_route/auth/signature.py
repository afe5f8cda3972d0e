"""Requests signed with a key and a secret: SDK-HMAC-SHA256, as the SDKs of the field's API gateways do it. Pure.

The canonical request is method, path, query, the signed headers (one a line, then an empty line), their names and the
payload's hash, joined by line ends. What is signed is the algorithm, `X-Sdk-Date` and the SHA-256 of that.
"""

from __future__ import annotations

import hmac
import re
from calendar import timegm
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from time import strptime
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

from actors.directory.signing import SigningKey
from actors.errors import PenstockError
from actors.wire.http.messages import Request

ALGORITHM = "SDK-HMAC-SHA256"
DATE_HEADER = "x-sdk-date"
PAYLOAD_HEADER = "x-sdk-content-sha256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_PAYLOAD = sha256(b"").hexdigest()
MAX_SKEW = 15 * 60
"""Seconds that the clocks of caller and gateway may be apart."""

_FORM = f"the form is `{ALGORITHM} Access=KEY, SignedHeaders=a;b, Signature=HEX` with 64 digits in lower case"
# No stricter than it must be, since classes of characters take twice the time: what the parts are worth is seen later.
_AUTHORIZATION = re.compile(ALGORITHM + r" +Access=([^,]+), *SignedHeaders=([^,]+), *Signature=(.{64})")
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
# Most paths and queries are plain; what they hold then is its own encoding.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._~/-]*")
_PLAIN_QUERY = re.compile(r"[A-Za-z0-9._~-]+=[A-Za-z0-9._~-]*(?:&[A-Za-z0-9._~-]+=[A-Za-z0-9._~-]*)*")
# To copy it takes half the time of making one.
_SHA256 = sha256()
# Each of these says something that must be said once.
_ALONE = frozenset({"authorization", DATE_HEADER, PAYLOAD_HEADER})


class SignatureError(PenstockError):
    """A request whose signature cannot be right, whatever the secret is; the text is for its caller."""


class SignedRequest(msgspec.Struct, frozen=True):
    """What a signed request says, ready to be compared with what a secret would say.

    `heads` are the canonical request up to the payload's hash, more than one where signers order the query in more
    than one way. `payload` is what `X-Sdk-Content-Sha256` says, or None.
    """

    key: str
    heads: list[bytes]
    date: str
    signature: bytes
    payload: str | None

    def matches(self, key: SigningKey, payload: str) -> bool:
        """Whether this key, and a payload of this hash, make the signature; takes the same time in either case."""
        matched = False
        for head in self.heads:
            matched |= hmac.compare_digest(_signature(key, self.date, head, payload), self.signature)
        return matched


def is_signed(authorization: str) -> bool:
    """Whether an `Authorization` header speaks of this algorithm at all."""
    return authorization.startswith(ALGORITHM)


def read(request: Request, now: float) -> SignedRequest:
    """Read a request that says to be signed; `now` is the wall clock in seconds.

    Exactly the headers that it lists are part of the canonical request: each must be there, once.

    Raises:
        SignatureError: it is malformed, its date is more than MAX_SKEW away, or a header that it lists is missing.
    """
    headers = dict(request.headers)
    claim = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if claim is None:
        raise SignatureError(_FORM)
    key, names, digits = claim.groups()
    signature = _bytes(digits)
    date = headers.get(DATE_HEADER, "")
    _check_date(date, now)
    listed = _listed(names)
    if len(headers) != len(request.headers):
        _refuse_repeated(request, listed)
    try:
        after = f"{_lines(headers, listed)}\n{names}\n"
    except KeyError as error:
        raise SignatureError(f"the signed header {error.args[0]} is missing") from None
    before = f"{request.method}\n{canonical_path(request.path)}\n"
    heads = [f"{before}{query}\n{after}".encode("latin-1") for query in canonical_queries(request.query)]
    return SignedRequest(key, heads, date, signature, headers.get(PAYLOAD_HEADER))


def sign(request: Request, key: str, signing_key: SigningKey, names: tuple[str, ...], payload: str) -> str:
    """The `Authorization` header that signs these headers of a request, which must have `X-Sdk-Date`.

    Raises:
        KeyError: a header is not there.
    """
    headers = dict(request.headers)
    listed = sorted(names)
    query = canonical_queries(request.query)[0]
    lines = _lines(headers, listed)
    head = f"{request.method}\n{canonical_path(request.path)}\n{query}\n{lines}\n{';'.join(listed)}\n"
    signature = _signature(signing_key, headers[DATE_HEADER], head.encode("latin-1"), payload).hex()
    return f"{ALGORITHM} Access={key}, SignedHeaders={';'.join(listed)}, Signature={signature}"


def canonical_path(path: str) -> str:
    """Each segment with its percent-encoding taken off and put on again (RFC 3986 2.3), and a slash at the end."""
    if _PLAIN_PATH.fullmatch(path) is None:
        path = "/".join([_encoded(unquote_to_bytes(segment)) for segment in path.split("/")])
    return path if path.endswith("/") else path + "/"


def canonical_queries(query: str) -> tuple[str, ...]:
    """The parameters encoded and sorted, `k=` for one without a value.

    Signers sort before they encode or after it; where that makes a difference, both orders are given, that of the
    common SDKs (before) first.
    """
    if not query:
        return ("",)
    if _PLAIN_QUERY.fullmatch(query) is not None:
        if "&" not in query:
            return (query,)
        # NUL sorts before all that may stand there, so that names are compared before values.
        return ("&".join(sorted(query.replace("=", "\0").split("&"))).replace("\0", "="),)
    pairs = []
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            pairs.append((unquote_to_bytes(name), unquote_to_bytes(value)))
    pairs.sort()
    encoded = [(_encoded(name), _encoded(value)) for name, value in pairs]
    orders = dict.fromkeys((tuple(encoded), tuple(sorted(encoded))))
    return tuple("&".join([f"{name}={value}" for name, value in order]) for order in orders)


def _bytes(digits: str) -> bytes:
    """What hexadecimal digits in lower case say."""
    try:
        read = bytes.fromhex(digits)
    except ValueError:
        raise SignatureError(_FORM) from None
    if read.hex() != digits:
        raise SignatureError(_FORM)
    return read


def _lines(headers: Mapping[str, str], listed: Iterable[str]) -> str:
    lines = ""
    for name in listed:
        lines += f"{name}:{headers[name].strip()}\n"
    return lines


def _signature(key: SigningKey, date: str, head: bytes, payload: str) -> bytes:
    hashed = _SHA256.copy()
    hashed.update(head + payload.encode())
    return key.sign(f"{ALGORITHM}\n{date}\n{hashed.hexdigest()}".encode())


def _encoded(text: bytes) -> str:
    return quote_from_bytes(text, "~")


def _check_date(date: str, now: float) -> None:
    at = _seconds(date)
    if at is None:
        raise SignatureError("X-Sdk-Date must be the time in UTC as YYYYMMDDTHHMMSSZ")
    if abs(now - at) > MAX_SKEW:
        raise SignatureError(f"X-Sdk-Date is more than {MAX_SKEW // 60} minutes away from the gateway's clock")


@lru_cache(maxsize=64)
def _seconds(date: str) -> int | None:
    """Remembered, since callers sign many requests a second, and agree on what time it is."""
    if _DATE.fullmatch(date) is None:
        return None
    try:
        return timegm(strptime(date, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return None


@lru_cache(maxsize=64)
def _listed(names: str) -> tuple[str, ...]:
    """Remembered, since a client signs the same headers each time; bounded by the length of a header line."""
    listed = names.split(";")
    if names != names.lower() or listed != sorted(set(listed)) or "" in listed:
        raise SignatureError("SignedHeaders must be in lower case, sorted, and each there once")
    return tuple(listed)


def _refuse_repeated(request: Request, listed: tuple[str, ...]) -> None:
    seen: set[str] = set()
    for name, _ in request.headers:
        if name in seen and (name in _ALONE or name in listed):
            raise SignatureError(f"the header {name} is there twice")
        seen.add(name)

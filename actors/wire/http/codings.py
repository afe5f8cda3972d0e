"""Which content coding an answer is sent with (RFC 9110 12.5.3)."""

from __future__ import annotations

from collections.abc import Sequence

_IDENTITY = "identity"


def choose_coding(accept_encoding: str | None, offered: Sequence[str]) -> str | None:
    """The coding that a client prefers among those offered; None where the answer goes as it is.

    Of those that it likes alike, the first offered; what it likes less than `identity` is not used. Without the header,
    with an empty or a malformed one, nothing is coded: a client that says nothing may take anything, but often does
    not. `x-gzip` is another name for `gzip` (RFC 9110 8.4.1.3).
    """
    if not accept_encoding:
        return None
    weights = _weights(accept_encoding)
    others = weights.get("*", 0.0)
    best, best_weight = None, 0.0
    for coding in offered:
        weight = weights.get(coding, others)
        if weight > best_weight:
            best, best_weight = coding, weight
    return best if best_weight >= weights.get(_IDENTITY, 0.0) else None


def _weights(header: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for part in header.split(","):
        name, _, parameters = part.partition(";")
        coding = name.strip().lower().removeprefix("x-")
        if coding:
            # Named twice: what is refused once is refused.
            weights[coding] = min(weights.get(coding, 1.0), _weight(parameters))
    return weights


def _weight(parameters: str) -> float:
    """`q=0.5` (RFC 9110 12.4.2); 1 where there is none, 0 where it cannot be read."""
    name, equals, value = parameters.strip().partition("=")
    if not equals:
        return 0.0 if name else 1.0
    if name.strip().lower() != "q":
        return 1.0
    try:
        weight = float(value.strip())
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0

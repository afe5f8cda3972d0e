"""Kind `signature_key`: how the gateway shows a backend that a call comes from it."""

from __future__ import annotations

from typing import Literal

from config.resources.base import AppResource, Name, Secret


class SignatureKey(
    AppResource,
    tag_field="kind",
    tag="signature_key",
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
):
    """A key that routes are bound to: `hmac` signs what is sent on, `basic` logs in with key and secret."""

    type: Literal["hmac", "basic"] = "hmac"
    key: Name
    secret: Secret = None

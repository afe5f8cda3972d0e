"""Kind `certificate`: what a domain shows to its callers."""

from __future__ import annotations

from typing import Annotated

import msgspec

from config.resources.base import AppResource, Secret, SecretReference


class Certificate(
    AppResource,
    tag_field="kind",
    tag="certificate",
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
):
    """A certificate chain (PEM, the own one first) and its private key (PEM), for any number of domains.

    Both may be written elsewhere: what `{file: PATH}` names is read anew every hour, and at SIGHUP.
    """

    chain: Annotated[str, msgspec.Meta(min_length=1, max_length=256 * 1024)] | SecretReference
    private_key: Secret = None

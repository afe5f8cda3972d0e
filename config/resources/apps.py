"""Kind `app`: who owns resources, and who calls."""

from __future__ import annotations

from typing import Annotated

import msgspec

from config.resources.base import Name, Resource, Secret
from config.resources.topics import Duration


class Quota(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Calls that an app has in each period, over all routes; kept over a restart.

    Periods follow one another since 1970-01-01T00:00:00Z: `1d` is a day of UTC.
    """

    calls: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000_000)]
    period: Duration = "1d"


class App(
    Resource, tag_field="kind", tag="app", frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """An application: owner of resources, and a client with a key and a secret.

    `key` and `secret` log it in over MQTT; each of `app_codes` opens routes with `auth: app`. What is left out is
    generated and shown once, and kept from then on; `app_codes: []` means none. `quota` bounds what it calls.
    """

    key: Name | None = None
    secret: Secret = None
    app_codes: Annotated[tuple[Secret, ...], msgspec.Meta(max_length=5)] | None = None
    quota: Quota | None = None

"""Who may call, for gateways in tests: the apps of a directory, and nobody else."""

from __future__ import annotations

import hmac
import time

from actors.directory.directory import Directory
from actors.directory.users import Users
from actors.gateway_route.auth.access_lists import AccessLists
from actors.gateway_route.auth.compile import Identities
from actors.gateway_route.auth.grants import Grants
from actors.gateway_route.auth.jwks import KeySets, KeySourceError
from config.resources import Jwt


def identities(directory: Directory) -> Identities:
    return Identities(directory, Users(_digest), Grants(), AccessLists(), KeySets(_no_keys, time.monotonic))


def _digest(secret: bytes) -> bytes:
    return hmac.digest(b"instance key", secret, "sha256")


async def _no_keys(_settings: Jwt) -> bytes:
    raise KeySourceError("there are none here")

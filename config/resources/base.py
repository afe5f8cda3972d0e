"""What all kinds of resources have in common."""

from __future__ import annotations

from typing import Annotated

import msgspec

# `$(?!\n)`: Python's `$` alone also matches before a line end.
# A name travels in topic names, file names, URLs and user names: nothing in it may mean anything there.
Name = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$(?!\n)",
        max_length=128,
        description="a name (letters, digits, `.`, `_`, `-`; a letter or digit first)",
    ),
]
# A device's name is its physical identifier (IMEI, MAC address, serial number); MQTT's `+`, `#`, `/` and `$` stay out.
DeviceName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]*$(?!\n)",
        max_length=128,
        description="a device's name (letters, digits, `.`, `_`, `:`, `@`, `-`; a letter or digit first)",
    ),
]
# As Kafka names topics.
TopicName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$(?!\n)",
        max_length=200,
        description="a topic's name (letters, digits, `.`, `_`, `-`; no `.` first)",
    ),
]
Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class SecretReference(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A secret that is written elsewhere: `{env: NAME, default: ...}` or `{file: PATH}`."""

    env: str | None = None
    file: str | None = None
    default: str | None = None

    def __post_init__(self) -> None:
        """Exactly one of `env` and `file` must be there."""
        if (self.env is None) == (self.file is None):
            raise ValueError("a secret is written as text, as {env: NAME, default: ...} or as {file: PATH}")


Secret = str | SecretReference | None
"""What is left out (None) is generated and shown once."""


class Resource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One resource: a document of a manifest. Subclasses carry their kind as the tag `kind`."""

    name: Name
    title: str = ""
    description: str = ""
    tags: tuple[Tag, ...] = ()


class AppResource(Resource, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A resource that an app owns; another app may use it only where `shared_with` names that app."""

    app: Name
    shared_with: tuple[Name, ...] = ()

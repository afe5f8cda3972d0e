"""Kinds `product` and `device`: what reports, and what a report looks like."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from config.resources.base import AppResource, DeviceName, Name, Secret

PropertyType = Literal["string", "integer", "number", "boolean"]
AclAction = Literal["publish", "subscribe", "all"]


class Property(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One property of a report: its type, and the bounds that a value must keep."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    type: PropertyType
    required: bool = True
    description: str = ""
    max_length: Annotated[int, msgspec.Meta(ge=1)] | None = None
    enum: tuple[str | int | float | bool, ...] = ()
    min: int | float | None = None
    max: int | float | None = None


class Service(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A named group of properties; a payload is checked against all enabled services of its product."""

    name: Name
    enabled: bool = True
    description: str = ""
    properties: tuple[Property, ...] = ()


class AclEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One right that is given or refused: exactly one of `allow` and `deny`, and a topic filter.

    In the filter `${productId}` stands for the product's name and `${deviceId}` for the device's (of a client without
    a user name: its client id).
    """

    allow: AclAction | None = None
    deny: AclAction | None = None
    topic: str


class Product(
    AppResource,
    tag_field="kind",
    tag="product",
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
):
    """A model of device, with its thing model and its rights.

    `acl` says where devices may publish and subscribe: the first entry whose filter covers a topic decides. What none
    decides is as by default: devices publish to `<product>/out/<device>` and subscribe to `<product>/in/<device>`.
    """

    protocol: Literal["mqtt"] = "mqtt"
    type: Literal["normal", "gateway"] = "normal"
    manufacturer: str = ""
    manufacturer_id: str = ""
    model: str = ""
    device_type: str = "Default Type"
    model_version: str = ""
    services: tuple[Service, ...] = ()
    acl: tuple[AclEntry, ...] = ()


class Device(
    AppResource,
    tag_field="kind",
    tag="device",
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
):
    """One device; `name` is its physical identifier and unique within its product.

    It logs in over MQTT as `<product>/<name>` with its secret. `enabled: false` refuses it and ends its session.
    """

    name: DeviceName
    product: Name
    secret: Secret = None
    enabled: bool = True

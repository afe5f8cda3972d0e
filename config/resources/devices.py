"""Kinds `product` and `device`: what reports, and what a report looks like."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from config.resources.base import AppResource, DeviceName, Name, Secret

PropertyType = Literal["string", "integer", "number", "boolean"]


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


class Product(
    AppResource,
    tag_field="kind",
    tag="product",
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
):
    """A model of device, with its thing model."""

    protocol: Literal["mqtt"] = "mqtt"
    type: Literal["normal", "gateway"] = "normal"
    manufacturer: str = ""
    manufacturer_id: str = ""
    model: str = ""
    device_type: str = "Default Type"
    model_version: str = ""
    services: tuple[Service, ...] = ()


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

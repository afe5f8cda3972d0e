"""The value of a record: the payload as it came, or within an envelope that says which device it is from.

The envelope is `{"device": {...}, "data": <payload>}`. `device` has what the manifest says of device and product,
under the manifest's own names: `product`, `name`, `app` and `tags` always; `manufacturer`, `manufacturer_id`, `model`,
`device_type` and `model_version` where the product has them.
"""

from __future__ import annotations

from binascii import b2a_base64

import msgspec

from actors.directory.entries import DeviceEntry
from config.resources import Product

_DESCRIPTIVE = ("manufacturer", "manufacturer_id", "model", "device_type", "model_version")


def device_information(product: Product, name: str, device: DeviceEntry | None) -> bytes:
    """The JSON of `device`; of a device that is not known (an app may send to it) what its product says."""
    known: dict[str, object] = {
        "product": product.name,
        "name": name,
        "app": product.app if device is None else device.app,
        "tags": () if device is None else device.tags,
    }
    described = {field: text for field in _DESCRIPTIVE if (text := getattr(product, field))}
    return msgspec.json.encode(known | described)


def around_payload(information: bytes, *, base64: bool) -> tuple[bytes, bytes]:
    """What stands before and after the payload in an envelope; a payload in base64 is a JSON string."""
    quote = b'"' if base64 else b""
    return b'{"device":' + information + b',"data":' + quote, quote + b"}"


def in_base64(payload: bytes) -> bytes:
    """The payload as base64 text (RFC 4648, 4), on one line."""
    return b2a_base64(payload, newline=False)

"""The metadata of an instance: resources, secrets, offsets, what was last seen of devices."""

from daemon.store.model import (
    DeviceStatus,
    Instance,
    Meta,
    Rejection,
    Store,
    StoredResource,
    StoredSecret,
)

__all__ = ["DeviceStatus", "Instance", "Meta", "Rejection", "Store", "StoredResource", "StoredSecret"]

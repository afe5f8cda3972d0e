"""Every kind of resource, one file a family; `AnyResource` is their union, told apart by `kind`."""

from config.resources.apps import App
from config.resources.base import AppResource, Resource, Secret, SecretReference
from config.resources.connections import Connection
from config.resources.devices import AclEntry, Device, Product, Property, Service
from config.resources.routes import Backend, DataBackend, MockBackend, Route, RouteRequest
from config.resources.rules import Rule, RuleSource, RuleTarget
from config.resources.tasks import Field, Task, TaskBacklog, TaskSource, TaskTarget
from config.resources.topics import BacklogLimit, BacklogPolicy, Grant, Mask, Retention, Topic

AnyResource = App | Product | Device | Topic | Rule | Connection | Task | Route

__all__ = [
    "AclEntry",
    "AnyResource",
    "App",
    "AppResource",
    "Backend",
    "BacklogLimit",
    "BacklogPolicy",
    "Connection",
    "DataBackend",
    "Device",
    "Field",
    "Grant",
    "Mask",
    "MockBackend",
    "Product",
    "Property",
    "Resource",
    "Retention",
    "Route",
    "RouteRequest",
    "Rule",
    "RuleSource",
    "RuleTarget",
    "Secret",
    "SecretReference",
    "Service",
    "Task",
    "TaskBacklog",
    "TaskSource",
    "TaskTarget",
    "Topic",
]

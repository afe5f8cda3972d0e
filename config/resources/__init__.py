"""Every kind of resource, one file a family; `AnyResource` is their union, told apart by `kind`."""

from config.resources.access_lists import AccessList
from config.resources.api_groups import ApiGroup, Domain, Environment
from config.resources.apps import App, Quota
from config.resources.authorizers import Authorizer, IdentitySource
from config.resources.backends import (
    Backend,
    BackendInput,
    DataBackend,
    FunctionBackend,
    MockBackend,
    Statement,
    TopicBackend,
)
from config.resources.base import AppResource, Resource, Secret, SecretReference
from config.resources.certificates import Certificate
from config.resources.connections import Connection
from config.resources.devices import AclEntry, Device, Product, Property, Service
from config.resources.functions import Function
from config.resources.grants import RouteGrant
from config.resources.route_parts import (
    Auth,
    BackendParameter,
    Cache,
    Compression,
    Cors,
    Jwt,
    Parameter,
    ResponseMapping,
)
from config.resources.routes import RELEASE, Route, RouteBackend, RouteRequest
from config.resources.rules import Rule, RuleCondition, RuleSource, RuleTarget
from config.resources.signature_keys import SignatureKey
from config.resources.tasks import Field, Task, TaskBacklog, TaskSource, TaskTarget
from config.resources.throttles import SpecialLimit, Throttle
from config.resources.topics import BacklogLimit, BacklogPolicy, Grant, Mask, Retention, Topic
from config.resources.users import AccessKey, User

# In the order in which they depend on one another, here as below.
GatewayResource = (
    Environment
    | Certificate
    | ApiGroup
    | SignatureKey
    | Throttle
    | AccessList
    | Authorizer
    | Backend
    | Route
    | RouteGrant
)
AnyResource = App | User | Product | Device | Topic | Function | Rule | Connection | Task | GatewayResource

__all__ = [
    "RELEASE",
    "AccessKey",
    "AccessList",
    "AclEntry",
    "AnyResource",
    "ApiGroup",
    "App",
    "AppResource",
    "Auth",
    "Authorizer",
    "Backend",
    "BackendInput",
    "BackendParameter",
    "BacklogLimit",
    "BacklogPolicy",
    "Cache",
    "Certificate",
    "Compression",
    "Connection",
    "Cors",
    "DataBackend",
    "Device",
    "Domain",
    "Environment",
    "Field",
    "Function",
    "FunctionBackend",
    "GatewayResource",
    "Grant",
    "IdentitySource",
    "Jwt",
    "Mask",
    "MockBackend",
    "Parameter",
    "Product",
    "Property",
    "Quota",
    "Resource",
    "ResponseMapping",
    "Retention",
    "Route",
    "RouteBackend",
    "RouteGrant",
    "RouteRequest",
    "Rule",
    "RuleCondition",
    "RuleSource",
    "RuleTarget",
    "Secret",
    "SecretReference",
    "Service",
    "SignatureKey",
    "SpecialLimit",
    "Statement",
    "Task",
    "TaskBacklog",
    "TaskSource",
    "TaskTarget",
    "Throttle",
    "Topic",
    "TopicBackend",
    "User",
]

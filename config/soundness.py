"""Whether a resource makes sense by itself, beyond the types of its fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import assert_never

from config.acl import acl_flaws
from config.flaws import Flaw
from config.function_soundness import function_flaws
from config.gateway_soundness import gateway_flaws
from config.identity_soundness import user_flaws
from config.resources import (
    AnyResource,
    App,
    BacklogPolicy,
    Connection,
    Device,
    Function,
    GatewayResource,
    Grant,
    Product,
    Property,
    Rule,
    Service,
    Task,
    Topic,
    User,
)
from config.resources.filters import filter_problem
from config.unbuilt import unbuilt

RECORD_COLUMNS = ("$topic", "$partition", "$offset", "$timestamp", "$key")
"""What a task's column may take of a record besides its fields."""


def unsound(resource: AnyResource) -> Iterator[Flaw]:
    """Everything about a resource that can be told to be wrong without looking at another."""
    yield from unbuilt(resource)
    if isinstance(resource, GatewayResource):
        yield from gateway_flaws(resource)
        return
    match resource:
        case App() | Device() | Connection():
            pass
        case Function():
            yield from function_flaws(resource)
        case User():
            yield from user_flaws(resource)
        case Topic():
            yield from _topic(resource)
        case Product():
            yield from _product(resource)
        case Rule():
            yield from _rule(resource)
        case Task():
            yield from _task(resource)
        case _:
            assert_never(resource)


def _topic(topic: Topic) -> Iterator[Flaw]:
    if topic.replicas != 1:
        reason = f"the embedded log keeps one copy; a Kafka engine will keep {topic.replicas}, on as many brokers"
        yield Flaw("$.replicas", reason)
    if topic.sync_replication:
        reason = (
            "the embedded log keeps one copy; a Kafka engine will answer a producer only once every in-sync replica "
            "has the record (acks=all)"
        )
        yield Flaw("$.sync_replication", reason)
    for i, grant in enumerate(topic.grants):
        yield from _grant(topic, grant, f"$.grants[{i}]", [other.app for other in topic.grants[:i]])
    fields = topic.mask.fields if topic.mask is not None else ()
    for i, field in enumerate(fields):
        if field in fields[:i]:
            yield Flaw(f"$.mask.fields[{i}]", f"{field} is masked twice")
    if topic.backlog is not None:
        yield from _backlog(topic.name, topic.backlog)


def _grant(topic: Topic, grant: Grant, path: str, before: list[str]) -> Iterator[Flaw]:
    if grant.app in before:
        yield Flaw(f"{path}.app", f"app {grant.app} has another grant above; write both rights into one")
    if topic.shares(grant.app):
        reason = "owns the topic" if grant.app == topic.app else "is in `shared_with`"
        yield Flaw(f"{path}.app", f"app {grant.app} {reason}, which gives it more than any grant", warning=True)
    if not set(grant.access.split("+")) <= set(topic.access.split("+")):
        yield Flaw(f"{path}.access", f"the topic has `access: {topic.access}`, so it cannot grant {grant.access}")


def _backlog(name: str, policy: BacklogPolicy) -> Iterator[Flaw]:
    if policy.action == "divert" and policy.divert_to is None:
        yield Flaw("$.backlog", "`action: divert` needs `divert_to`, the topic that takes the records meanwhile")
    if policy.action != "divert" and policy.divert_to is not None:
        yield Flaw("$.backlog.divert_to", f"goes with `action: divert`, and the action is {policy.action}")
    if policy.divert_to == name:
        yield Flaw("$.backlog.divert_to", "a topic cannot divert to itself; name another")


def _product(product: Product) -> Iterator[Flaw]:
    known: dict[str, tuple[Property, str]] = {}
    for i, service in enumerate(product.services):
        path = f"$.services[{i}]"
        if service.name in [other.name for other in product.services[:i]]:
            yield Flaw(f"{path}.name", f"another service is called {service.name} too")
        for j, item in enumerate(service.properties):
            yield from _property(item, f"{path}.properties[{j}]")
        yield from _repeated(service, path, known)
    yield from acl_flaws(product)


def _repeated(service: Service, path: str, known: dict[str, tuple[Property, str]]) -> Iterator[Flaw]:
    """A payload is checked against all enabled services, so one name cannot mean two things."""
    own = Counter(item.name for item in service.properties)
    for j, item in enumerate(service.properties):
        where = f"{path}.properties[{j}].name"
        if own[item.name] > 1 and item.name in [other.name for other in service.properties[:j]]:
            yield Flaw(where, f"another property of this service is called {item.name} too")
        elif service.enabled:
            other, owner = known.setdefault(item.name, (item, service.name))
            if other != item:
                yield Flaw(where, f"service {owner} describes the property {item.name} differently")


def _property(item: Property, path: str) -> Iterator[Flaw]:
    if item.max_length is not None and item.type != "string":
        yield Flaw(f"{path}.max_length", f"is for strings, and {item.name} is of type {item.type}")
    for bound in ("min", "max"):
        if getattr(item, bound) is not None and item.type not in {"integer", "number"}:
            yield Flaw(f"{path}.{bound}", f"is for numbers, and {item.name} is of type {item.type}")
    if item.min is not None and item.max is not None and item.min > item.max:
        yield Flaw(f"{path}.min", f"{item.min} is more than `max`, {item.max}")
    for k, value in enumerate(item.enum):
        reason = _enum_problem(item, value)
        if reason:
            yield Flaw(f"{path}.enum[{k}]", reason)


def _enum_problem(item: Property, value: str | float | bool) -> str:  # noqa: FBT001 - the value of an enum
    fits = {
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
        "integer": type(value) is int,
        "number": type(value) in {int, float},
    }[item.type]
    if not fits:
        quote = f'; written as text it is "{value}"' if item.type == "string" else ""
        return f"{value!r} is not of type {item.type}{quote}"
    if isinstance(value, str):
        too_long = item.max_length is not None and len(value) > item.max_length
        return f"'{value}' is longer than `max_length`, {item.max_length}" if too_long else ""
    if item.min is not None and value < item.min:
        return f"{value} is less than `min`, {item.min}"
    if item.max is not None and value > item.max:
        return f"{value} is more than `max`, {item.max}"
    return ""


def _rule(rule: Rule) -> Iterator[Flaw]:
    sources = rule.sources if isinstance(rule.sources, tuple) else (rule.sources,)
    for i, source in enumerate(sources):
        path = f"$.from[{i}]" if isinstance(rule.sources, tuple) else "$.from"
        if source.devices == ():
            yield Flaw(f"{path}.devices", "names no device; write `all` for all of the product's")
        if source.topic is not None:
            yield from _source_topic(source.topic, f"{path}.topic", lifecycle=source.lifecycle)
    targets = [to.topic for to in rule.to]
    for i, topic in enumerate(targets):
        if topic in targets[:i]:
            yield Flaw(f"$.to[{i}].topic", f"topic {topic} is a target twice")
    if rule.condition is not None and any(source.lifecycle for source in sources):
        reason = "goes with reports; events of connections are taken all, so write them into a rule of their own"
        yield Flaw("$.condition", reason)
    if rule.key_suffix is not None:
        yield _key_suffix(rule)
    if not _is_field_path(rule.key):
        yield Flaw("$.key", f"'{rule.key}' is neither `device`, `none` nor the dotted path of a field")


def _key_suffix(rule: Rule) -> Flaw:
    if rule.key == "none":
        return Flaw("$.key_suffix", "there is no key to add it to; records without a key are spread anyway")
    reason = "the records of a key go to all partitions, and do not stay in order; `$key` has the suffix too"
    return Flaw("$.key_suffix", reason, warning=True)


def _source_topic(topic_filter: str, path: str, *, lifecycle: bool) -> Iterator[Flaw]:
    reason = filter_problem(topic_filter)
    if lifecycle:
        yield Flaw(path, "goes with reports; `lifecycle: true` takes events of connections, which have no topic")
    elif topic_filter.startswith("$share/"):
        yield Flaw(path, "a rule gets every message anyway; leave out `$share/<group>/`")
    elif reason:
        yield Flaw(path, f"'{topic_filter}' is not an MQTT topic filter: {reason}")


def _is_field_path(path: str) -> bool:
    return all(path.split("."))


def _task(task: Task) -> Iterator[Flaw]:
    fields = [item.name for item in task.source.fields]
    for i, item in enumerate(task.source.fields):
        if item.name in fields[:i]:
            yield Flaw(f"$.source.fields[{i}].name", f"another field is called {item.name} too")
        if item.path is not None and not _is_field_path(item.path):
            yield Flaw(f"$.source.fields[{i}].path", f"'{item.path}' is not a dotted path such as data.deviceId")
    known = {*fields, *RECORD_COLUMNS}
    for column, source in task.target.columns.items():
        if source not in known:
            reason = f"there is no field {source} in `source.fields`; {_choices(fields)}"
            yield Flaw(f"$.target.columns.{column}", reason)
    for i, column in enumerate(task.target.key):
        if column not in task.target.columns:
            yield Flaw(f"$.target.key[{i}]", f"{column} is not one of the `columns`")
        elif column in task.target.key[:i]:
            yield Flaw(f"$.target.key[{i}]", f"{column} is in the key twice")
    yield from _task_backlog(task)


def _task_backlog(task: Task) -> Iterator[Flaw]:
    backlog = task.backlog
    if backlog.max_runners is not None and backlog.max_runners < task.runners:
        reason = f"{backlog.max_runners} is less than `runners`, {task.runners}; it says how many there may be at most"
        yield Flaw("$.backlog.max_runners", reason)
    for field in ("max_runners", "max_batch"):
        if backlog.heal == "off" and getattr(backlog, field) is not None:
            yield Flaw(f"$.backlog.{field}", "has no effect with `heal: off`", warning=True)


def _choices(fields: list[str]) -> str:
    return f"a column takes one of {', '.join([*fields, *RECORD_COLUMNS])}"

"""Who refers to whom, and whether they may."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, assert_never

from config.resources import (
    AnyResource,
    App,
    AppResource,
    Connection,
    Device,
    Mask,
    Product,
    Route,
    Rule,
    RuleSource,
    Task,
    Topic,
)
from config.resources.identity import Identity, identity
from config.resources.topics import Right
from config.soundness import path_shape, unsound

World = Mapping[Identity, AnyResource]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong (or, as a warning, odd) with a resource: at which path, and why."""

    identity: Identity
    path: str
    reason: str
    warning: bool = False


class Reference(NamedTuple):
    """One resource's mention of another; one that `may_wait` may name what does not exist yet."""

    path: str
    target: Identity
    may_wait: bool = False


def sources_of(rule: Rule) -> tuple[RuleSource, ...]:
    """The sources of a rule, which may be written as one or as a list."""
    return rule.sources if isinstance(rule.sources, tuple) else (rule.sources,)


def references(resource: AnyResource) -> Iterator[Reference]:
    """Everything that a resource refers to."""
    if isinstance(resource, AppResource):
        yield Reference("$.app", Identity("app", resource.app))
        for i, app in enumerate(resource.shared_with):
            yield Reference(f"$.shared_with[{i}]", Identity("app", app), may_wait=True)
    match resource:
        case App() | Product() | Connection():
            pass
        case Topic():
            yield from _of_topic(resource)
        case Device():
            yield Reference("$.product", Identity("product", resource.product))
        case Rule():
            yield from _of_rule(resource)
        case Task():
            yield Reference("$.source.topic", Identity("topic", resource.source.topic))
            yield Reference("$.target.connection", Identity("connection", resource.target.connection))
        case Route():
            if resource.backend.data is not None:
                yield Reference("$.backend.data.connection", Identity("connection", resource.backend.data.connection))
        case _:
            assert_never(resource)


def _of_topic(topic: Topic) -> Iterator[Reference]:
    for i, grant in enumerate(topic.grants):
        yield Reference(f"$.grants[{i}].app", Identity("app", grant.app), may_wait=True)
    if topic.backlog is not None and topic.backlog.divert_to is not None:
        yield Reference("$.backlog.divert_to", Identity("topic", topic.backlog.divert_to))


def _of_rule(rule: Rule) -> Iterator[Reference]:
    for i, source in enumerate(sources_of(rule)):
        path = f"$.from[{i}]" if isinstance(rule.sources, tuple) else "$.from"
        yield Reference(f"{path}.product", Identity("product", source.product))
        if source.devices != "all":
            for j, device in enumerate(source.devices):
                target = Identity("device", f"{source.product}/{device}")
                yield Reference(f"{path}.devices[{j}]", target, may_wait=True)
    for i, to in enumerate(rule.to):
        yield Reference(f"$.to[{i}].topic", Identity("topic", to.topic))


def referrers(target: Identity, resources: Iterable[AnyResource]) -> list[Identity]:
    """Who refers to a resource, in order: while there is anyone, it is not deleted."""
    return sorted(
        identity(resource)
        for resource in resources
        if any(reference.target == target for reference in references(resource))
    )


def check(wanted: Sequence[AnyResource], instance: Iterable[AnyResource] = ()) -> list[Finding]:
    """What would be wrong if `wanted` were applied to an instance that holds `instance`.

    Checked are the resources of `wanted`, and those of the instance that refer to one of them.
    """
    before: World = {identity(resource): resource for resource in instance}
    new: World = {identity(resource): resource for resource in wanted}
    world: World = {**before, **new}
    findings = _duplicates(wanted)
    for name, resource in world.items():
        if name in new:
            findings += [Finding(name, *flaw) for flaw in unsound(resource)]
            findings += _lowered(name, resource, before)
        mentioned = [reference for reference in references(resource) if name in new or reference.target in new]
        for reference in mentioned:
            findings += _broken(name, resource, reference, world)
    return findings + _route_collisions(world, new) + _key_collisions(world, new)


def _duplicates(wanted: Sequence[AnyResource]) -> list[Finding]:
    seen: set[Identity] = set()
    findings = []
    for name in map(identity, wanted):
        if name in seen:
            findings.append(Finding(name, "$.name", f"{name} is written twice"))
        seen.add(name)
    return findings


def _lowered(name: Identity, resource: AnyResource, before: World) -> list[Finding]:
    old = before.get(name)
    if not isinstance(resource, Topic) or not isinstance(old, Topic) or resource.partitions >= old.partitions:
        return []
    reason = f"the topic has {old.partitions} partitions; they are never lowered, {resource.partitions} is not taken"
    return [Finding(name, "$.partitions", reason)]


def _broken(name: Identity, resource: AnyResource, reference: Reference, world: World) -> Iterator[Finding]:
    target = world.get(reference.target)
    if target is None:
        reason = f"there is no {reference.target}{_nearest(reference.target, world)}"
        yield Finding(name, reference.path, reason, warning=reference.may_wait)
        return
    if not isinstance(target, AppResource) or not isinstance(resource, AppResource):
        return
    if isinstance(target, Topic):
        yield from _of_use(name, resource, reference.path, target)
    elif target.app != resource.app and resource.app not in target.shared_with:
        reason = (
            f"{reference.target} belongs to app {target.app}, which does not share it with app {resource.app} "
            f"(`shared_with: [{resource.app}]` there would)"
        )
        yield Finding(name, reference.path, reason)


def _nearest(target: Identity, world: World) -> str:
    near = difflib.get_close_matches(target.name, [name for kind, name in world if kind == target.kind], 1)
    return f"; did you mean {near[0]}?" if near else ""


def _of_use(name: Identity, resource: AppResource, path: str, topic: Topic) -> Iterator[Finding]:
    """A topic whose rights or number of partitions do not allow what is wanted of it."""
    right: Right = "subscribe" if isinstance(resource, Task) else "publish"
    if not topic.offers(right):
        done = "read from" if right == "subscribe" else "published to"
        yield Finding(name, path, f"topic {topic.name} has `access: {topic.access}`, so nothing can be {done} it")
    elif not topic.allows(resource.app, right):
        reason = (
            f"topic {topic.name} belongs to app {topic.app}, which does not share it with app {resource.app} "
            f"(`shared_with: [{resource.app}]` there would, or `grants: [{{app: {resource.app}, access: {right}}}]`)"
        )
        yield Finding(name, path, reason)
    if isinstance(resource, Task) and resource.runners > topic.partitions:
        reason = f"more runners ({resource.runners}) than topic {topic.name} has partitions ({topic.partitions})"
        yield Finding(name, "$.runners", reason)
    most = resource.backlog.max_runners if isinstance(resource, Task) else None
    if most is not None and most > topic.partitions:
        reason = f"more than topic {topic.name} has partitions ({topic.partitions}): no more runners than that can work"
        yield Finding(name, "$.backlog.max_runners", reason, warning=True)
    diverts = topic.backlog is not None and topic.backlog.divert_to is not None
    if isinstance(resource, Topic) and diverts and topic.name != resource.name:
        yield Finding(name, path, f"topic {topic.name} itself diverts to another; name one that keeps")
    if isinstance(resource, Topic) and not hides(topic.mask, resource.mask):
        reason = f"topic {topic.name} does not mask what topic {resource.name} masks; give it the same `mask`"
        yield Finding(name, path, reason)


def hides(mask: Mask | None, wanted: Mask | None) -> bool:
    """Whether a mask hides all that another one does."""
    if wanted is None:
        return True
    return mask is not None and set(wanted.fields) <= set(mask.fields) and (wanted.at == "read" or mask.at == "store")


def _route_collisions(world: World, new: World) -> list[Finding]:
    """Served routes with the same method and the same path, whatever their parameters are called."""
    first: dict[tuple[str, str], Identity] = {}
    findings = []
    old_first = sorted(world.items(), key=lambda item: item[0] in new)
    for name, route in old_first:
        if not isinstance(route, Route) or not (route.enabled and route.publish):
            continue
        other = first.setdefault((route.request.method, path_shape(route.request.path)), name)
        if other != name and name in new:
            reason = f"{route.request.method} {route.request.path} is already served by {other}"
            findings.append(Finding(name, "$.request", reason))
    return findings


def _key_collisions(world: World, new: World) -> list[Finding]:
    first: dict[str, Identity] = {}
    findings = []
    old_first = sorted(world.items(), key=lambda item: item[0] in new)
    for name, app in old_first:
        if isinstance(app, App) and app.key is not None:
            other = first.setdefault(app.key, name)
            if other != name and name in new:
                findings.append(Finding(name, "$.key", f"the key {app.key} is already that of {other}"))
    return findings

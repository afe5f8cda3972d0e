"""Who refers to whom, and whether they may."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import assert_never

from config.acl import levels_of, may_be_published
from config.findings import Finding, World
from config.gateway_checks import gateway_findings
from config.gateway_references import Reference, gateway_references
from config.resources import (
    AnyResource,
    App,
    AppResource,
    Connection,
    Device,
    Function,
    GatewayResource,
    Mask,
    Product,
    Rule,
    RuleSource,
    Task,
    Topic,
    User,
)
from config.resources.filters import filter_problem
from config.resources.identity import Identity, identity
from config.resources.topics import Right
from config.soundness import unsound


def sources_of(rule: Rule) -> tuple[RuleSource, ...]:
    """The sources of a rule, which may be written as one or as a list."""
    return rule.sources if isinstance(rule.sources, tuple) else (rule.sources,)


def references(resource: AnyResource) -> Iterator[Reference]:
    """Everything that a resource refers to."""
    if isinstance(resource, AppResource):
        yield Reference("$.app", Identity("app", resource.app))
        for i, app in enumerate(resource.shared_with):
            yield Reference(f"$.shared_with[{i}]", Identity("app", app), may_wait=True)
    if isinstance(resource, GatewayResource):
        yield from gateway_references(resource)
        return
    match resource:
        case App() | Product() | Connection() | Function() | User():
            pass
        case Topic():
            yield from _of_topic(resource)
        case Device():
            yield Reference("$.product", Identity("product", resource.product))
        case Rule():
            yield from _of_rule(resource)
        case Task():
            yield from _of_task(resource)
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
    if rule.condition is not None:
        yield Reference("$.condition.function", Identity("function", rule.condition.function))
    for i, to in enumerate(rule.to):
        yield Reference(f"$.to[{i}].topic", Identity("topic", to.topic))


def _of_task(task: Task) -> Iterator[Reference]:
    yield Reference("$.source.topic", Identity("topic", task.source.topic))
    yield Reference("$.target.connection", Identity("connection", task.target.connection))
    for i, field in enumerate(task.source.fields):
        if field.function is not None:
            yield Reference(f"$.source.fields[{i}].function", Identity("function", field.function))


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
        if isinstance(resource, Product) and name in new:
            findings += _foreign_topics(name, resource, world)
        elif isinstance(resource, Rule):
            findings += _unreached(name, resource, world, new)
    return findings + gateway_findings(world, new) + _key_collisions(world, new)


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


def _foreign_topics(name: Identity, product: Product, world: World) -> Iterator[Finding]:
    """Entries of a list that begin with the name of another app's product: they are never granted."""
    for i, entry in enumerate(product.acl):
        other = world.get(Identity("product", levels_of(entry.topic, product.name)[0]))
        if isinstance(other, Product) and product.app not in (other.app, *other.shared_with):
            reason = (
                f"what begins with {other.name}/ belongs to product {other.name} of app {other.app}, which does not "
                f"share it with app {product.app} (`shared_with: [{product.app}]` there would)"
            )
            yield Finding(name, f"$.acl[{i}].topic", reason, warning=entry.allow is None)


def _unreached(name: Identity, rule: Rule, world: World, new: World) -> Iterator[Finding]:
    """Sources of a rule that nothing the product's devices may publish to ever matches.

    A right that is taken away leaves such rules behind; they keep nobody from taking it.
    """
    for i, source in enumerate(sources_of(rule)):
        target = Identity("product", source.product)
        product = world.get(target)
        if source.topic is None or not isinstance(product, Product) or not (name in new or target in new):
            continue
        if _is_told_already(source) or may_be_published(product, source.topic):
            continue
        path = f"$.from[{i}].topic" if isinstance(rule.sources, tuple) else "$.from.topic"
        reason = (
            f"'{source.topic}' matches nothing that devices of {product.name} publish to: {product.name}/out/<device>, "
            "and what the product's `acl` allows"
        )
        may_come = source.topic.startswith(f"{product.name}/out/")
        yield Finding(name, path, reason, warning=may_come or name not in new)


def _is_told_already(source: RuleSource) -> bool:
    topic = source.topic or ""
    return source.lifecycle or topic.startswith("$share/") or bool(filter_problem(topic))


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

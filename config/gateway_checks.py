"""What is wrong with the gateway's resources as they stand beside others, beyond references that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from config.findings import Finding, World
from config.gateway_soundness import path_shape
from config.identity_checks import identity_findings
from config.resources import RELEASE, ApiGroup, Route
from config.resources.identity import Identity
from config.variables import variables_in


def gateway_findings(world: World, new: World) -> list[Finding]:
    """What would be wrong with a world of which `new` is to be applied."""
    return [
        *_route_collisions(world, new),
        *_undefined_variables(world, new),
        *_foreign_default_groups(world, new),
        *_shared_domains(world, new),
        *identity_findings(world, new),
    ]


def _old_first(world: World, new: World) -> Iterator[Identity]:
    yield from sorted(world, key=lambda name: name in new)


def _route_collisions(world: World, new: World) -> Iterator[Finding]:
    """Served routes with the same method and the same path, whatever their parameters are called.

    Paths with variables are compared when they are published, once the variables have values.
    """
    first: dict[tuple[str, ...], Identity] = {}
    for name in _old_first(world, new):
        route = world[name]
        if not isinstance(route, Route) or not (route.enabled and route.publish) or "#" in route.request.path:
            continue
        request = route.request
        place = (_space(route, world), request.method, request.match, path_shape(request))
        other = first.setdefault(place, name)
        if other == name:
            continue
        reason = f"{request.method} {request.path} is already served by {other}"
        group = Identity("api_group", route.group_name)
        if name in new:
            yield Finding(name, "$.request", reason)
        elif group in new or _group_of(other, world) in new:
            # Neither has changed: their groups come to be called by the same names.
            yield Finding(name, "$.request", reason)


def _group_of(name: Identity, world: World) -> Identity:
    route = world[name]
    return Identity("api_group", route.group_name if isinstance(route, Route) else "")


def _space(route: Route, world: World) -> str:
    """Groups without domains are called by the same names and addresses."""
    group = world.get(Identity("api_group", route.group_name))
    return route.group_name if isinstance(group, ApiGroup) and group.domains else ""


def _undefined_variables(world: World, new: World) -> Iterator[Finding]:
    """Of routes that are published once applied; what a group lacks elsewhere is told when it is published there."""
    for name, route in world.items():
        group_name = Identity("api_group", route.group_name) if isinstance(route, Route) else name
        if not isinstance(route, Route) or not route.publish or (name not in new and group_name not in new):
            continue
        group = world.get(group_name)
        values = group.variables.get(RELEASE, {}) if isinstance(group, ApiGroup) else {}
        for path, text in texts_with_variables(route):
            for variable in dict.fromkeys(variables_in(text)):
                if variable not in values:
                    reason = (
                        f"the variable #{variable}# is not defined in environment {RELEASE} of group "
                        f"{route.group_name}; add it to the group's `variables`"
                    )
                    yield Finding(name, path, reason)


def texts_with_variables(route: Route) -> Iterator[tuple[str, str]]:
    """Where in a route `#name#` stands for a value."""
    yield "$.request.path", route.request.path
    if route.backend.topic is not None and route.backend.topic.key is not None:
        yield "$.backend.topic.key", route.backend.topic.key


def _foreign_default_groups(world: World, new: World) -> Iterator[Finding]:
    """An app's name is that of its default group."""
    for name, group in world.items():
        if not isinstance(group, ApiGroup) or group.name == group.app:
            continue
        app = Identity("app", group.name)
        if app in world and (name in new or app in new):
            yield Finding(name, "$.name", f"{name} would be the default group of {app}; give it another name")


def _shared_domains(world: World, new: World) -> Iterator[Finding]:
    """A domain picks one group."""
    first: dict[str, Identity] = {}
    for name in _old_first(world, new):
        group = world[name]
        for i, domain in enumerate(group.domains if isinstance(group, ApiGroup) else ()):
            other = first.setdefault(domain.name.lower(), name)
            if other != name and name in new:
                yield Finding(name, f"$.domains[{i}].name", f"the domain {domain.name} is already that of {other}")

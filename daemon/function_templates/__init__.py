"""Starting points for functions: what `penstock function new` writes."""

from __future__ import annotations

from importlib.resources import files

TEMPLATES = ("python", "mysql", "redis", "front-authorizer")


def written(template: str, name: str, app: str) -> dict[str, str]:
    """The files of a starting point, text by name: a manifest, and for some a plugin module."""
    folder = files(__name__)
    found = {}
    for suffix in (".yaml", ".py"):
        source = folder / f"{template.replace('-', '_')}{suffix}"
        if source.is_file():
            text = source.read_text(encoding="utf-8")
            found[name + suffix] = text.replace("@NAME@", name).replace("@APP@", app)
    return found

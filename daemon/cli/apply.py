"""`penstock apply`: make an instance hold what manifests say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from daemon.cli.failure import CommandError, RefusedError
from daemon.cli.options import DataOption, FilesOption, UrlOption, control_url, data_folder
from daemon.cli.sources import Source, joined, located, read_sources

_PLANNED = {"created": "would be created", "changed": "would change", "unchanged": "unchanged"}


def apply(
    context: typer.Context,
    *,
    files: FilesOption,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would change.")] = False,
    allow_unreachable: Annotated[
        bool, typer.Option("--allow-unreachable", help="Take connections whose other side does not answer.")
    ] = False,
    data: DataOption = None,
    url: UrlOption = None,
) -> None:
    """Apply manifests as one; when anything is wrong, nothing changes."""
    from config.errors import ManifestError
    from config.manifest import load_all
    from daemon.cli.client import connect

    sources = read_sources(files)
    try:
        load_all(sources)
    except ManifestError as error:
        raise CommandError(f"nothing was applied\n{error}") from error
    whole = joined(sources)
    with connect(data_folder(context, data), control_url(context, url)) as client:
        try:
            answer = client.post_manifest(
                "apply", whole.text, whole.file, plan=plan, allow_unreachable=allow_unreachable
            )
        except RefusedError as error:
            raise _in_its_file(error, sources) if len(sources) > 1 else error from None
    _show(answer, planned=plan)


def _in_its_file(error: RefusedError, sources: Sequence[Source]) -> RefusedError:
    """The same refusal, told of the files that were sent as one."""
    details = []
    for one in error.details:
        places = (
            [located(sources, one["line"]), one.get("subject"), one.get("field")] if one.get("line") else [one["path"]]
        )
        details.append({"path": ": ".join(filter(None, places)), "reason": one["reason"]})
    return RefusedError(error.reason, details)


def _show(answer: dict[str, Any], *, planned: bool) -> None:
    results = answer["results"]
    words = _PLANNED if planned else {}
    published = {
        one["route"]: f"version {one['version']} in {one['environment']}" for one in answer.get("published", ())
    }
    for one in results:
        result = words.get(one["result"], one["result"])
        fields = f"  ({', '.join(one['fields'])})" if one["result"] == "changed" and one.get("fields") else ""
        version = published.pop(one["name"], "") if one["kind"] == "route" else ""
        print(f"{result:<16} {one['kind']} {one['name']}{fields}{version and f'  -> {version}'}")
        for warning in one.get("warnings") or ():
            typer.echo(f"warning: {one['kind']} {one['name']}: {warning}", err=True)
    for name, version in published.items():
        # A change of its group's variables concerns it, too.
        print(f"{'would be served' if planned else 'served':<16} route {name}  -> {version}")
    counts = {result: sum(one["result"] == result for one in results) for result in _PLANNED}
    print(", ".join(f"{count} {words.get(result, result)}" for result, count in counts.items()))
    generated = answer.get("generated") or ()
    if generated:
        print("\nGenerated, and shown only this once:")
    for one in generated:
        print(f"  {one['kind']} {one['name']}  {one['field']}: {one['value']}")

"""Functions, and the plugins that some of them are."""

from __future__ import annotations

from typing import Annotated

import msgspec

from config.settings.section import Positive, Section


class JavaScriptSettings(Section, frozen=True, kw_only=True):
    """The processes in which functions of JavaScript run. A process runs one call at a time, of one app only."""

    # At most so many processes: some 30 MB each at rest, or more after calls that took more.
    max_processes: Positive = 16
    # At most so many run the calls of one app, so that there is always one for another.
    max_processes_per_app: Positive = 8
    # A process keeps so many functions loaded; the one that was not called for longest makes room.
    functions_per_process: Positive = 32
    # So many calls may wait for a process, all apps together, and no longer than so many seconds.
    max_waiting: Positive = 10_000
    max_wait: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    # A process that rests for so many seconds is ended.
    idle_seconds: Annotated[float, msgspec.Meta(gt=0)] = 300.0


class FunctionSettings(Section, frozen=True, kw_only=True):
    """Functions: what they may bring in and send out, and what is remembered of them. Sizes in bytes."""

    # Databases that scripts may name by URL, as host:port/database; whatever their addresses are.
    script_connections: tuple[
        Annotated[
            str,
            msgspec.Meta(
                pattern=r"^[^\s/?#@]+:[0-9]{1,5}/[^\s/?#]+$(?!\n)",
                description="a database (host:port/database, such as 127.0.0.1:3306/db)",
            ),
        ],
        ...,
    ] = ()
    # So many of them may be open at a time (each as another user is one more), all apps together, and for one app:
    # beyond that the one that rests for longest is closed.
    script_databases: Positive = 64
    script_databases_per_app: Positive = 4
    # What one query may bring.
    max_rows: Positive = 10_000
    max_query_bytes: Positive = 4 * 1024 * 1024
    # The answer to one outgoing call, and one record.
    max_http_bytes: Positive = 4 * 1024 * 1024
    max_publish_bytes: Positive = 1024 * 1024
    # Runs that are remembered of each function, and as many that failed; their logs together, and that of one of them.
    kept_runs: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    kept_log_bytes: Positive = 1024 * 1024
    run_log_bytes: Annotated[int, msgspec.Meta(ge=1, le=1024 * 1024)] = 16 * 1024
    # Functions with series of their own on the metrics page; those applied later are summed up.
    measured_functions: Positive = 1000
    javascript: JavaScriptSettings = JavaScriptSettings()


class PluginSettings(Section, frozen=True, kw_only=True):
    """Plugin modules of the operator's own."""

    # The folder in which they are dropped; one that is not absolute is in the data folder.
    path: Annotated[str, msgspec.Meta(min_length=1)] = "plugins"

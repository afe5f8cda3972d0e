"""Logging: structlog, lines for people on a terminal, JSON elsewhere."""

from __future__ import annotations

import logging
import sys

import structlog

from config.settings import LoggingSettings


def configure(settings: LoggingSettings) -> None:
    """Send every log line, also those of libraries, to standard error as the settings say.

    Called at start and again when settings are read anew.
    """
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    as_json = settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers = _json_renderers() if as_json else _console_renderers()
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        # Loggers are made at import; a cached one would not hear of a changed level.
        cache_logger_on_first_use=False,
    )
    _configure_libraries(level, [*shared, structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers])


def _json_renderers() -> list[structlog.typing.Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _console_renderers() -> list[structlog.typing.Processor]:
    colors = sys.stderr.isatty()
    formatter = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=formatter, pad_event_to=36)]


def _configure_libraries(level: int, processors: list[structlog.typing.Processor]) -> None:
    """Libraries log through the standard library; their chatter below a warning is left out."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=processors))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))

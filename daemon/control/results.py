"""What an apply did, as JSON: result by result, and what was generated and is shown this once."""

from __future__ import annotations

from typing import Any

from daemon.catalog.service import Applied


def applied_json(applied: Applied) -> dict[str, Any]:
    """`{"results": [...], "published": [...], "generated": [...]}`."""
    return {
        "results": [
            {
                **step.identity._asdict(),
                "result": step.action,
                "fields": step.fields,
                "warnings": step.warnings,
            }
            for step in applied.steps
        ],
        "published": [
            {"route": one.route.name, "environment": one.environment, "version": one.version}
            for one in applied.published
        ],
        "generated": [
            {**step.identity._asdict(), "field": field, "value": value}
            for step in applied.steps
            for field, value in step.generated.items()
        ],
    }

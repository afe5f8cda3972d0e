"""The manifests that are handed out as examples."""

from __future__ import annotations

from pathlib import Path

import pytest

import config
from config.manifest import dump, load
from config.validate import validate

EXAMPLES = sorted((Path(config.__file__).parent / "examples").glob("*.yaml"))


@pytest.mark.parametrize("example", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_is_sound_by_itself(example: Path) -> None:
    """Each can be applied to an empty instance, without even a warning, and be written back as it was."""
    documents = load(example.read_text(), example.name)
    assert validate(documents) == []
    resources = [document.resource for document in documents]
    assert [document.resource for document in load(dump(resources))] == resources

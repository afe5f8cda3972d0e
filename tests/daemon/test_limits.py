"""What the process spends on itself."""

import gc

import pytest

from daemon.limits import imports_for_good


def test_what_is_imported_is_never_looked_through() -> None:
    """No collection while modules come, and none of what they brought afterwards; then they go on as before."""
    assert gc.isenabled()
    try:
        with imports_for_good():
            assert not gc.isenabled()
            brought: list[object] = []
            brought.append(brought)
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
        assert not any(one is brought for one in gc.get_objects())
    finally:
        gc.unfreeze()


def test_an_import_that_fails_leaves_the_collector_at_work() -> None:
    """Whatever an import raises passes, and garbage is looked for again."""
    with pytest.raises(ImportError), imports_for_good():
        raise ImportError
    gc.unfreeze()
    assert gc.isenabled()

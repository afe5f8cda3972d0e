"""A copy of the data folder that is made while everything goes on."""

from __future__ import annotations

import shutil
import stat
import time
from pathlib import Path

import pytest

from actors.errors import ConfigurationError, StorageError
from tests.fakes.daemon import ChildDaemon
from tests.fakes.house import Tenant, eventually, living, report
from tests.fakes.numbered import SECRET, check_tables, check_topic, manifest, stored_reports
from tests.fakes.publisher import publishers


def test_a_copy_made_under_load_goes_on_where_it_was_taken(tmp_path: Path) -> None:
    """The copy holds all that was acknowledged before it began, and its tasks move what they had not, exactly once."""
    acknowledged = dict.fromkeys("abc", 0)
    with ChildDaemon(tmp_path / "data") as daemon:
        daemon.apply(manifest("abc"))
        with publishers(daemon.mqtt(), acknowledged) as crowd:
            time.sleep(0.5)
            before = {publisher.name: publisher.acknowledged for publisher in crowd}
            done = daemon.penstock("backup", str(tmp_path / "copy"))
            assert done.returncode == 0, done.stderr
            time.sleep(0.2)
        instance = daemon.ask("status")["instance"]
        assert daemon.stop() == 0
    assert min(before.values()) > 0
    with ChildDaemon(tmp_path / "copy") as copy:
        assert copy.ask("status")["instance"] == instance
        later = dict.fromkeys(before, 0)
        copy.wait_lag_zero("latest", "every")
        with publishers(copy.mqtt(), later):  # the secrets came along
            time.sleep(0.2)
        copy.wait_lag_zero("latest", "every")
        assert copy.stop() == 0
    topic = stored_reports(tmp_path / "copy")
    for device, last in before.items():
        numbers = {number for reports in topic for _, name, number in reports if name == device}
        assert set(range(1, last + 1)) <= numbers
    check_tables(tmp_path / "copy" / "sink.db", topic)
    # Nobody noticed at the source.
    check_topic(stored_reports(tmp_path / "data"), acknowledged)


async def test_a_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A backup never mixes with what is there."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("mine")
    async with living(tmp_path / "data") as tenant:
        for folder, reason in (("full", "is not empty"), (".", "holds the data folder itself")):
            with pytest.raises(ConfigurationError, match=reason):
                await tenant.house.engine.backup(tmp_path / folder)
    assert (tmp_path / "full" / "precious").read_text() == "mine"


async def test_a_backup_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """When a part cannot be copied the reason names it, and the same folder can be taken for the next try."""
    async with living(tmp_path / "data") as tenant:
        await tenant.apply(manifest(["a"]))
        device = await tenant.connect("sensor/a", SECRET)
        await device.report("sensor/out/a", report("a", 1))
        hidden = tmp_path / "data" / "topics" / "reports-1"
        hidden.rename(tmp_path / "elsewhere")
        with pytest.raises(StorageError, match="reports-1"):
            await tenant.house.engine.backup(tmp_path / "copy")
        assert list((tmp_path / "copy").iterdir()) == []
        shutil.move(tmp_path / "elsewhere", hidden)
        done = await tenant.house.engine.backup(tmp_path / "copy")
        assert done["instance_key"] == "copied"
        assert done["databases"] == {"sink": "sink.db"}
        await eventually(lambda: _caught_up(tenant))
    for name in ("instance.key", "penstock.db"):
        assert stat.S_IMODE((tmp_path / "copy" / name).stat().st_mode) == 0o600


async def test_plugins_of_the_data_folder_come_along(tmp_path: Path) -> None:
    """The copy runs the functions that its manifest names; a folder elsewhere is the operator's to keep."""
    code = "from plugins.api import function\n\n@function\nasync def f(data, context):\n    return data\n"
    (tmp_path / "data/plugins").mkdir(parents=True)
    (tmp_path / "data/plugins/same.py").write_text(code)
    async with living(tmp_path / "data") as tenant:
        await tenant.apply(
            "{kind: app, name: a, key: k}\n---\n{kind: function, app: a, name: f, language: python, module: same}\n"
        )
        await tenant.house.engine.backup(tmp_path / "copy")
    async with living(tmp_path / "copy") as tenant:
        assert (await tenant.status("functions/f"))["state"] == "deployed"


async def _caught_up(tenant: Tenant) -> bool:
    return bool((await tenant.status("tasks/every"))["lag"] == 0)

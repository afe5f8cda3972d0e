"""Applying manifests, on a real store with a fake engine."""

from __future__ import annotations

import hmac

import pytest
import trio

from actors.errors import StorageError
from config.errors import ManifestError
from config.resources import Mask, Task, Topic
from config.resources.identity import Identity
from daemon.catalog.errors import InUseError, NotFoundError, UnreachableError, VersionConflictError
from daemon.catalog.service import Applied
from tests.daemon.conftest import Instance

APP = Identity("app", "city-parking")
DEVICE = Identity("device", "parking-sensor/lot-000001")
REMOTE = "kind: app\nname: a\n---\nkind: connection\napp: a\nname: db\nconnector: remote\nsettings: {{host: h{more}}}\n"


def actions(applied: Applied) -> dict[str, str]:
    return {str(step.identity): step.action for step in applied.steps}


def remote(more: str = "") -> bytes:
    return REMOTE.format(more=more).encode()


async def test_a_second_apply_changes_nothing(instance: Instance, parking: bytes) -> None:
    """The reference manifest is created once; applied again, after a restart too, all of it is unchanged."""
    first = await instance.service.apply(parking)
    assert set(actions(first).values()) == {"created"}
    assert len(first.steps) == parking.count(b"kind: ") + 1
    for again in (instance, await instance.reopened()):
        before = len(again.engine.reconciled)
        second = await again.service.apply(parking)
        assert set(actions(second).values()) == {"unchanged"}
        assert len(again.engine.reconciled) == before
        assert {stored.meta.version for stored in again.catalog} == {1}


async def test_a_task_brings_its_dead_letter_topic(instance: Instance, parking: bytes) -> None:
    """The topic for what cannot be written is an ordinary topic of the same app, and stays as long as the task."""
    await instance.service.apply(parking)
    dead = Identity("topic", "status-to-table.dead")
    topic = instance.service.require(dead).resource
    assert (topic.app, topic.partitions, topic.tags) == ("city-parking", 1, ("dead-letter",))  # type: ignore[union-attr]
    with pytest.raises(InUseError, match="in use by task status-to-table"):
        await instance.service.delete(dead)
    await instance.service.delete(Identity("task", "status-to-table"))
    await instance.service.delete(dead)


MASKED = b"""
{kind: app, name: a, key: a-key, secret: a-secret}
---
{kind: connection, app: a, name: db, connector: sqlite, settings: {path: a.db}}
---
{kind: topic, app: a, name: t, mask: {fields: [%b]}}
"""
READS = b"""
---
kind: task
app: a
name: copy
source: {topic: t, fields: [{name: n, path: n}]}
target: {connection: db, table: T, columns: {n: n}}
"""


def mask_of(instance: Instance, name: str) -> Mask | None:
    topic = instance.service.require(Identity("topic", name)).resource
    assert isinstance(topic, Topic)
    return topic.mask


async def test_dead_letters_hide_what_their_source_hides(instance: Instance) -> None:
    """Records that are put aside are masked as before, also when that is said later; what else is hidden stays so."""
    await instance.service.apply(MASKED % b"name" + READS)
    assert mask_of(instance, "copy.dead") == Mask(fields=("name",))
    await instance.service.apply(MASKED % b"name, phone")
    assert mask_of(instance, "copy.dead") == Mask(fields=("name", "phone"))
    own = b"{kind: topic, app: a, name: copy.dead, tags: [dead-letter], mask: {fields: [n, name, phone], at: store}}"
    await instance.service.apply(own)
    applied = await instance.service.apply(MASKED % b"phone" + READS)
    assert mask_of(instance, "copy.dead") == Mask(fields=("n", "name", "phone"), at="store")
    assert "topic copy.dead" not in actions(applied)
    await instance.service.apply(MASKED % b"street")
    assert mask_of(instance, "copy.dead") == Mask(fields=("n", "name", "phone", "street"), at="store")


async def test_a_plan_changes_nothing(instance: Instance, parking: bytes) -> None:
    """A plan says what an apply would do and leaves no trace."""
    planned = await instance.service.apply(parking, plan=True)
    assert set(actions(planned).values()) == {"created"}
    assert (list(instance.catalog), instance.engine.reconciled, instance.engine.tested) == ([], [], [])
    assert await instance.store.load_all() == []


async def test_only_what_differs_is_handed_on(instance: Instance, parking: bytes) -> None:
    """A changed field reaches the engine with both sides; what did not change is left alone."""
    await instance.service.apply(parking)
    applied = await instance.service.apply(parking.replace(b"timeout_ms: 60000", b"timeout_ms: 500"))
    (change,) = instance.engine.reconciled[-1]
    assert change.identity == Identity("route", "free-lots")
    assert (change.before.timeout_ms, change.after.timeout_ms) == (60000, 500)  # type: ignore[union-attr]
    (step,) = [step for step in applied.steps if step.action == "changed"]
    assert (step.fields, step.after.meta.version) == (("timeout_ms",), 2)


async def test_a_changed_secret_is_a_change(instance: Instance, parking: bytes) -> None:
    """A device's new secret is noticed though only a digest is kept, and named to the engine without its value."""
    await instance.service.apply(parking)
    applied = await instance.service.apply(parking.replace(b"lot-secret-000001", b"another"))
    assert [str(step.identity) for step in applied.steps if step.action == "changed"] == [str(DEVICE)]
    (change,) = instance.engine.reconciled[-1]
    assert (change.before, change.secrets) == (change.after, ("secret",))
    entry = instance.credentials.device_entry(instance.service.require(DEVICE).resource)  # type: ignore[arg-type]
    assert hmac.compare_digest(entry.secret, instance.credentials.digest(b"another"))


async def test_no_secret_is_stored_in_plain_text(instance: Instance, parking: bytes) -> None:
    """None of the manifest's secrets stands in any file of the data folder."""
    await instance.service.apply(parking + b"\n---\n" + remote(", password: very-secret-word"))
    written = b"".join([path.read_bytes() for path in instance.folder.iterdir()])
    for secret in (b"lot-secret-000001", b"city-parking-secret", b"very-secret-word"):
        assert secret not in written
    assert b"lot-000001" in written


async def test_what_is_left_out_is_generated_once(instance: Instance) -> None:
    """Key, secret, AppCode and device secret are made up strong, shown by the apply that made them, and then kept."""
    text = b"kind: app\nname: a\n---\nkind: product\napp: a\nname: p\n---\nkind: device\napp: a\nproduct: p\nname: d\n"
    first = await instance.service.apply(text)
    shown = {(str(step.identity), field): value for step in first.steps for field, value in step.generated.items()}
    assert set(shown) == {("app a", "key"), ("app a", "secret"), ("app a", "app_codes.0"), ("device p/d", "secret")}
    assert min(map(len, shown.values())) >= 32
    entry = instance.credentials.app_entry(instance.service.require(Identity("app", "a")).resource)  # type: ignore[arg-type]
    digest = instance.credentials.digest
    assert entry.key == shown["app a", "key"]
    assert entry.secret == digest(shown["app a", "secret"].encode())
    assert entry.codes == (digest(shown["app a", "app_codes.0"].encode()),)
    second = await instance.service.apply(text)
    assert [(step.action, dict(step.generated)) for step in second.steps] == [("unchanged", {})] * 3


async def test_app_codes_left_out_stay_and_an_empty_list_withdraws(instance: Instance) -> None:
    """Codes stay while nobody mentions them, and an empty list takes the last one away for good."""
    app = Identity("app", "a")
    await instance.service.apply(b"kind: app\nname: a\napp_codes: [one-code, two-code]\n")
    for text, left in (
        (b"kind: app\nname: a\n", 2),
        (b"kind: app\nname: a\napp_codes: [one-code]\n", 1),
        (b"kind: app\nname: a\napp_codes: []\n", 0),
        (b"kind: app\nname: a\n", 0),
    ):
        applied = await instance.service.apply(text)
        entry = instance.credentials.app_entry(instance.service.require(app).resource)  # type: ignore[arg-type]
        assert (len(entry.codes), dict(applied.steps[0].generated)) == (left, {})


async def test_two_apps_never_share_an_app_code(instance: Instance) -> None:
    """An AppCode tells who calls; one that is another app's already is refused, in one manifest or over two."""
    text = b"kind: app\nname: %s\napp_codes: [same-code]\n"
    with pytest.raises(ManifestError, match="already one of app a"):
        await instance.service.apply(text % b"a" + b"---\n" + text % b"b")
    await instance.service.apply(text % b"a")
    with pytest.raises(ManifestError, match=r"\$\.app_codes\[0\]: the same AppCode is already one of app a"):
        await instance.service.apply(text % b"b")
    await instance.service.apply(text % b"a")


async def test_a_wrong_manifest_changes_nothing(instance: Instance, parking: bytes) -> None:
    """One mistake anywhere refuses the whole, and says file, line and path."""
    with pytest.raises(ManifestError, match=r"park\.yaml:\d+: document 8 .*there is no topic nowhere"):
        await instance.service.apply(
            parking.replace(b"  topic: parking-status\n", b"  topic: nowhere\n"), file="park.yaml"
        )
    assert (await instance.store.load_all(), instance.engine.tested) == ([], [])


async def test_an_unknown_connector_names_those_installed(instance: Instance) -> None:
    """Settings of a connector that is not there cannot be checked, nor their secrets sealed: refused."""
    with pytest.raises(ManifestError, match=r"no connector oracle; installed: remote, sqlite"):
        await instance.service.apply(remote().replace(b"connector: remote", b"connector: oracle"))


async def test_a_failing_connection_is_refused_unless_allowed(instance: Instance) -> None:
    """A new or changed connection is tried first; allowed to fail, it is applied with a warning."""
    instance.engine.unreachable["db"] = "connection refused by h"
    with pytest.raises(UnreachableError, match=r"failed their test: connection db \(") as refused:
        await instance.service.apply(remote())
    assert "refused by h" not in str(refused.value), "the reason is said once, in its report"
    assert [report.problem for _, report in refused.value.reports] == ["connection refused by h"]
    assert await instance.store.load_all() == []
    applied = await instance.service.apply(remote(), allow_unreachable=True)
    assert applied.steps[1].warnings == ("the test failed: connection refused by h",)
    tested = len(instance.engine.tested)
    await instance.service.apply(remote().replace(b"name: db", b"name: db\ntitle: The database"))
    assert len(instance.engine.tested) == tested


async def test_connection_secrets_are_opened_for_the_engine_only(instance: Instance) -> None:
    """The test and the running side get plain text; the stored resource has none; taken out, it is gone."""
    db = Identity("connection", "db")
    await instance.service.apply(remote(", password: word"))
    stored = instance.service.require(db)
    assert instance.engine.tested[-1].settings == {"host": "h", "password": "word"}
    assert stored.resource.settings == {"host": "h"}  # type: ignore[union-attr]
    assert instance.credentials.connection_settings(stored.resource) == {"host": "h", "password": "word"}  # type: ignore[arg-type]
    assert set(actions(await instance.service.apply(remote(", password: word"))).values()) == {"unchanged"}
    assert set(actions(await instance.service.apply(remote(', password: "***"'))).values()) == {"unchanged"}
    assert instance.credentials.connection_settings(stored.resource)["password"] == "word"  # type: ignore[arg-type]
    changed = await instance.service.apply(remote())
    assert changed.steps[1].fields == ("settings",)
    assert instance.credentials.connection_settings(instance.service.require(db).resource) == {"host": "h"}  # type: ignore[arg-type]


async def test_a_reference_is_read_each_time(instance: Instance) -> None:
    """A connection's secret in a file is picked up anew after the file has changed, and the manifest stays the same."""
    secret = instance.folder / "password"
    secret.write_text("first\n")
    text = remote(f", password: {{file: {secret}}}")
    await instance.service.apply(text)
    resource = instance.service.require(Identity("connection", "db")).resource
    assert instance.engine.tested[-1].settings["password"] == "first"
    secret.write_text("second\n")
    assert instance.credentials.connection_settings(resource)["password"] == "second"  # type: ignore[arg-type]
    assert set(actions(await instance.service.apply(text)).values()) == {"unchanged"}


async def test_a_secret_that_cannot_be_read_is_a_problem_of_the_manifest(instance: Instance) -> None:
    """A reference to nowhere says where it was written and what to set."""
    with pytest.raises(ManifestError, match=r"\$\.secret: the environment variable NOT_SET is not set"):
        await instance.service.apply(b"kind: app\nname: a\nsecret: {env: NOT_SET}\n")
    with pytest.raises(ManifestError, match=r"`\*\*\*` stands for a secret that is stored, and none is"):
        await instance.service.apply(b'kind: app\nname: a\nsecret: "***"\n')
    instance.environment["BYTES"] = b"\xff".decode(errors="surrogateescape")
    with pytest.raises(ManifestError, match=r"a secret must be UTF-8 text"):
        await instance.service.apply(b"kind: app\nname: a\nsecret: {env: BYTES}\n")
    with pytest.raises(ManifestError, match=r"at most 16384 characters, this one 17000"):
        await instance.service.apply(b"kind: app\nname: a\nsecret: " + b"x" * 17000)
    with pytest.raises(ManifestError, match=r"a secret must not be empty"):
        await instance.service.apply(b'kind: app\nname: a\nsecret: ""\n')


async def test_deletion_is_refused_while_something_refers(instance: Instance, parking: bytes) -> None:
    """What is in use names who uses it and stays; in reverse order everything goes."""
    await instance.service.apply(parking)
    with pytest.raises(InUseError, match="in use by rule forward-status, task status-to-table"):
        await instance.service.delete(Identity("topic", "parking-status"))
    for kind in ("route", "task", "connection", "rule", "topic", "device", "product", "app"):
        for stored in instance.catalog.of_kind(kind):
            await instance.service.delete(stored.identity)
    assert await instance.store.load_all() == []
    with pytest.raises(NotFoundError, match="there is no app city-parking"):
        await instance.service.delete(APP)


async def test_lost_updates_are_refused(instance: Instance, parking: bytes) -> None:
    """Who names a version changes that version or nothing."""
    await instance.service.apply(parking)
    for versions in ((7,), (0,)):
        with pytest.raises(VersionConflictError, match="has version 1"):
            await instance.service.delete(Identity("route", "lot"), versions=versions)
    with pytest.raises(VersionConflictError, match="does not exist"):
        await instance.service.put(Identity("app", "b"), b"kind: app\nname: b\n", versions=())
    await instance.service.delete(Identity("route", "lot"), versions=(1,))


async def test_stopping_a_task_is_kept(instance: Instance, parking: bytes) -> None:
    """A task that was stopped stays stopped over a restart, until it is started or its manifest applied again."""
    await instance.service.apply(parking)
    await instance.service.set_task_enabled("status-to-table", enabled=False)
    again = await instance.reopened()
    task = again.service.require(Identity("task", "status-to-table"))
    assert isinstance(task.resource, Task)
    assert (task.resource.enabled, task.meta.version) == (False, 2)
    await again.service.set_task_enabled("status-to-table", enabled=True)
    await again.service.set_task_enabled("status-to-table", enabled=True)
    assert again.service.require(task.identity).meta.version == 3
    assert again.engine.calls == [("start", "status-to-table")] * 2


async def test_rotation_replaces_the_secret(instance: Instance, parking: bytes) -> None:
    """The new secret is returned once, the old one is worth nothing, and the engine is told."""
    await instance.service.apply(parking)
    secret = await instance.service.rotate_secret(DEVICE)
    entry = instance.credentials.device_entry(instance.service.require(DEVICE).resource)  # type: ignore[arg-type]
    assert entry.secret == instance.credentials.digest(secret.encode())
    assert instance.engine.reconciled[-1][0].secrets == ("secret",)


async def test_an_engine_that_fails_does_not_lose_generated_secrets(instance: Instance) -> None:
    """Once stored, the answer comes, with a warning, whatever happens to the running side."""
    instance.engine.crash = ZeroDivisionError("boom")
    applied = await instance.service.apply(b"kind: app\nname: a\n")
    (step,) = applied.steps
    assert "secret" in step.generated
    assert step.warnings == ("stored, but putting it to work crashed (see the daemon's log); a restart tries again",)


async def test_a_store_that_fails_changes_nothing(instance: Instance) -> None:
    """What the store did not take is neither known nor run."""
    await instance.store.close()
    with pytest.raises(StorageError):
        await instance.service.apply(b"kind: app\nname: a\n")
    assert (list(instance.catalog), instance.engine.reconciled) == ([], [])
    instance.store = (await instance.reopened()).store


async def test_a_caller_who_hangs_up_leaves_nothing_by_half(instance: Instance) -> None:
    """Whatever moment the caller goes at, what is stored has reached the catalog and the engine."""
    for pause in range(10):
        with trio.move_on_after(pause / 2000):
            await instance.service.apply(f"kind: app\nname: a{pause}\n".encode())
    stored = {one.identity for one in await instance.store.load_all()}
    assert stored == {one.identity for one in instance.catalog}
    assert stored == {change.identity for changes in instance.engine.reconciled for change in changes}


async def test_applies_at_the_same_time_take_turns(instance: Instance, parking: bytes) -> None:
    """Two callers with the same manifest: one creates, the other finds everything there."""
    found: list[Applied] = []

    async def one() -> None:
        found.append(await instance.service.apply(parking))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one)
        nursery.start_soon(one)
    assert sorted({action for applied in found for action in actions(applied).values()}) == ["created", "unchanged"]


async def test_a_device_without_its_secret_logs_in_with_none(instance: Instance, parking: bytes) -> None:
    """After re-issue nobody can log in as a device or app until it is applied again, which heals it."""
    await instance.service.apply(parking)
    await instance.store.set_key_check(instance.vault.check, forget_secrets=True)
    again = await instance.reopened()
    device = again.service.require(DEVICE).resource
    entries = [again.credentials.device_entry(device).secret for _ in range(2)]  # type: ignore[arg-type]
    assert entries[0] != entries[1]
    applied = await again.service.apply(parking)
    assert {name for name, action in actions(applied).items() if action == "changed"} == {
        str(APP),
        str(DEVICE),
        "device parking-sensor/lot-000002",
    }
    entry = again.credentials.device_entry(again.service.require(DEVICE).resource)  # type: ignore[arg-type]
    assert entry.secret == again.credentials.digest(b"lot-secret-000001")

"""The Python client against the API itself: what administrators and programs do, end to end."""

import asyncio

import pytest

from muniment.client import AsyncMuniment, Muniment
from muniment.errors import Conflict, Forbidden, NotFound, PreconditionFailed
from tests.api.conftest import ApiProcess
from tests.conftest import TenantFixture


async def test_people_come_in_work_and_go(api: ApiProcess, tenant: TenantFixture) -> None:
    async with AsyncMuniment(api.url, tenant.api_key) as admin:
        group = await admin.groups.create("accounting")
        invited = await admin.invitations.create("ada@example.org", groups=[group.id])
        assert invited.token is not None
        accepted = await admin.invitations.accept(invited.token, password="correct horse battery")
        with pytest.raises(NotFound):
            await admin.invitations.accept(invited.token, password="correct horse battery")
        members = await admin.groups.members(group.id)
        assert [each.id for each in members.data] == [accepted.principal_id]
        private = await admin.collections.create("ledgers", visibility="private")
        file = await admin.upload(b"1 + 1", name="a.txt", collection="ledgers")
        key = await admin.api_keys.create(
            "ada's", ["files:read", "files:write"], principal_id=accepted.principal_id
        )
        async with AsyncMuniment(api.url, key.secret) as ada:
            assert (await ada.me()).id == accepted.principal_id
            with pytest.raises(NotFound):
                await ada.files.get(file.id)
            grant = await admin.grants.create("read", group_id=group.id, collection_id=private.id)
            assert (await ada.files.get(file.id)).name == "a.txt"
            with pytest.raises(Forbidden):
                await ada.files.change(file.id, name="b.txt")
            await admin.grants.delete(grant.id)
            with pytest.raises(NotFound):
                await ada.files.get(file.id)
        await admin.principals.delete(accepted.principal_id)
        with pytest.raises(NotFound):
            await admin.principals.get(accepted.principal_id)


async def test_a_change_is_made_to_what_was_read(api: ApiProcess, tenant: TenantFixture) -> None:
    async with AsyncMuniment(api.url, tenant.api_key) as admin:
        made = await admin.principals.create("grace")
        read = await admin.principals.get(made.id)
        changed = await admin.principals.change(read.id, name="grace h.", etag=read.etag)
        assert changed.etag not in (None, read.etag)
        with pytest.raises(PreconditionFailed):
            await admin.principals.change(read.id, disabled=True, etag=read.etag)
        with pytest.raises(PreconditionFailed):
            await admin.principals.delete(read.id, etag=read.etag)
        with pytest.raises(Conflict):
            await admin.principals.create("grace h.")
        await admin.principals.delete(read.id, etag=changed.etag)


def _share_and_watch(url: str, key: str) -> None:
    with Muniment(url, key) as admin:
        file = admin.upload(b"a", name="a.txt")
        second = admin.upload_version(file.id, b"b", name="a.txt")
        assert (second.id, second.version) == (file.id, 2)
        assert admin.files.version(file.id, 2).size == 1
        assert admin.files.change(file.id, labels=["seen"]).labels == ("seen",)
        share = admin.shares.create(file.id, password="correct horse", max_downloads=1)
        assert share.url
        opened = admin.shares.change(share.id, password=None, max_downloads=None)
        assert (opened.has_password, opened.max_downloads) == (False, None)
        assert admin.shares.revoke(share.id).revoked_at is not None
        webhook = admin.webhooks.create("https://example.com/", ["file.ready"])
        assert (webhook.secret or "").startswith("whsec_")
        tested = admin.webhooks.test(webhook.id)
        assert [each.id for each in admin.webhooks.deliveries(webhook.id).data] == [tested.id]
        assert not admin.webhooks.delivery(webhook.id, tested.id).log
        assert admin.webhooks.change(webhook.id, enabled=False).enabled is False
        admin.webhooks.delete(webhook.id)
        note = admin.annotations.create(file.id, "why?", tags=["legal"])
        comment = admin.annotations.answer(note.id, "because")
        assert admin.annotations.change_comment(note.id, comment.id, "since").body == "since"
        assert admin.annotations.resolve(note.id).resolved_at is not None
        assert admin.quotas().files.used == 1
        assert admin.files.tier(file.id).hot == 2
        assert admin.directory("admin").data
        actions = {each.action for each in admin.audit(limit=100).data}
        assert {"share.revoked", "webhook.deleted", "comment.changed"} <= actions


async def test_files_are_shared_and_talked_about(api: ApiProcess, tenant: TenantFixture) -> None:
    await asyncio.to_thread(_share_and_watch, api.url, tenant.api_key)

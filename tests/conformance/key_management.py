"""What every key management must do. Subclass it, and give it `keys` and `elsewhere`: the same key
management as another process has it."""

import asyncio
from uuid import uuid4

import pytest

from muniment.errors import KeyDestroyed, SealBroken
from muniment.sealing import KeyManagement

CONTEXT = b"muniment/v1|tenant|blob"


class KeyManagementConformance:
    untouched = range(0)
    """Bytes of a wrapped data key whose change the tests' server does not answer as the real one."""

    async def test_a_data_key_unwraps_to_itself_and_differs_each_time(
        self, keys: KeyManagement, elsewhere: KeyManagement
    ) -> None:
        tenant = uuid4()
        one = await keys.generate_data_key(tenant, CONTEXT)
        other = await keys.generate_data_key(tenant, CONTEXT)
        assert len(one.plaintext) == 32
        assert one.plaintext != other.plaintext
        assert one.plaintext not in one.wrapped
        assert await elsewhere.unwrap(tenant, one.wrapped, CONTEXT) == one.plaintext
        assert repr(one.plaintext) not in repr(one)

    async def test_another_context_tenant_or_a_change_does_not_unwrap(
        self, keys: KeyManagement
    ) -> None:
        tenant, other_tenant = uuid4(), uuid4()
        wrapped = (await keys.generate_data_key(tenant, CONTEXT)).wrapped
        await keys.generate_data_key(other_tenant, CONTEXT)
        with pytest.raises(SealBroken):
            await keys.unwrap(tenant, wrapped, b"muniment/v1|tenant|another")
        with pytest.raises(SealBroken):
            await keys.unwrap(other_tenant, wrapped, b"muniment/v1|other|blob")
        for position in set(range(0, len(wrapped), 5)) - set(self.untouched):
            changed = bytearray(wrapped)
            changed[position] ^= 1
            with pytest.raises(SealBroken):
                await keys.unwrap(tenant, bytes(changed), CONTEXT)
        for rest in (wrapped[:-1], wrapped[:10], b"", wrapped + b"="):
            with pytest.raises(SealBroken):
                await keys.unwrap(tenant, rest, CONTEXT)

    async def test_an_unknown_tenant_is_not_given_keys_by_unwrapping(
        self, keys: KeyManagement
    ) -> None:
        wrapped = (await keys.generate_data_key(uuid4(), CONTEXT)).wrapped
        unknown = uuid4()
        for _ in range(2):
            with pytest.raises(SealBroken):
                await keys.unwrap(unknown, wrapped, CONTEXT)
            with pytest.raises(SealBroken):
                await keys.rewrap(unknown, wrapped, CONTEXT)

    async def test_equal_content_has_equal_tags_within_a_tenant_only(
        self, keys: KeyManagement, elsewhere: KeyManagement
    ) -> None:
        tenant, other_tenant = uuid4(), uuid4()
        tag = await keys.dedup_tag(tenant, b"d" * 32)
        assert len(tag) == 32
        assert await elsewhere.dedup_tag(tenant, b"d" * 32) == tag
        assert await keys.dedup_tag(tenant, b"e" * 32) != tag
        assert await keys.dedup_tag(other_tenant, b"d" * 32) != tag
        with pytest.raises(ValueError, match="32 bytes"):
            await keys.dedup_tag(tenant, b"short")

    async def test_those_who_come_first_together_agree(
        self, keys: KeyManagement, elsewhere: KeyManagement
    ) -> None:
        tenant = uuid4()
        calls = [each.dedup_tag(tenant, bytes(32)) for each in (keys, elsewhere) * 3]
        assert len(set(await asyncio.gather(*calls))) == 1

    async def test_a_rotation_makes_one_version_however_often_it_is_repeated(
        self, keys: KeyManagement, elsewhere: KeyManagement
    ) -> None:
        tenant = uuid4()
        assert await keys.newest_version(tenant) == 1
        assert await keys.rotate_tenant_key(tenant, above=1) == 2
        assert await elsewhere.rotate_tenant_key(tenant, above=1) == 2
        assert await elsewhere.newest_version(tenant) == 2
        assert await keys.rotate_tenant_key(tenant, above=2) == 3

    async def test_old_versions_unwrap_until_they_are_retired(
        self, keys: KeyManagement, elsewhere: KeyManagement
    ) -> None:
        tenant = uuid4()
        before = await keys.generate_data_key(tenant, CONTEXT)
        tag = await keys.dedup_tag(tenant, bytes(32))
        await keys.rotate_tenant_key(tenant, above=1)
        after = await elsewhere.generate_data_key(tenant, CONTEXT)
        assert await elsewhere.unwrap(tenant, before.wrapped, CONTEXT) == before.plaintext
        renewed = await keys.rewrap(tenant, before.wrapped, CONTEXT)
        assert renewed != before.wrapped
        assert await elsewhere.rewrap(tenant, renewed, CONTEXT) == renewed
        assert await keys.rewrap(tenant, after.wrapped, CONTEXT) == after.wrapped
        for _ in range(2):
            await keys.retire_versions(tenant, below=2)
            for user in (keys, elsewhere):
                with pytest.raises(SealBroken):
                    await user.unwrap(tenant, before.wrapped, CONTEXT)
                with pytest.raises(SealBroken):
                    await user.rewrap(tenant, before.wrapped, CONTEXT)
                assert await user.unwrap(tenant, renewed, CONTEXT) == before.plaintext
                assert await user.unwrap(tenant, after.wrapped, CONTEXT) == after.plaintext
                assert await user.dedup_tag(tenant, bytes(32)) == tag

    async def test_rewrapping_holds_to_tenant_and_context(self, keys: KeyManagement) -> None:
        tenant = uuid4()
        wrapped = (await keys.generate_data_key(tenant, CONTEXT)).wrapped
        await keys.rotate_tenant_key(tenant, above=1)
        with pytest.raises(SealBroken):
            await keys.rewrap(tenant, wrapped, b"muniment/v1|tenant|another")

    async def test_the_newest_version_cannot_be_retired(self, keys: KeyManagement) -> None:
        tenant = uuid4()
        kept = await keys.generate_data_key(tenant, CONTEXT)
        with pytest.raises(ValueError, match="newest"):
            await keys.retire_versions(tenant, below=2)
        assert await keys.unwrap(tenant, kept.wrapped, CONTEXT) == kept.plaintext

    async def test_a_destroyed_tenant_stays_destroyed_for_every_process(
        self, keys: KeyManagement, elsewhere: KeyManagement
    ) -> None:
        tenant, neighbour = uuid4(), uuid4()
        wrapped = (await keys.generate_data_key(tenant, CONTEXT)).wrapped
        kept = await keys.generate_data_key(neighbour, CONTEXT)
        await elsewhere.unwrap(tenant, wrapped, CONTEXT)
        await elsewhere.dedup_tag(tenant, bytes(32))
        await keys.destroy_tenant_key(tenant)
        await elsewhere.destroy_tenant_key(tenant)
        for user in (keys, elsewhere):
            with pytest.raises(KeyDestroyed):
                await user.unwrap(tenant, wrapped, CONTEXT)
            with pytest.raises(KeyDestroyed):
                await user.rewrap(tenant, wrapped, CONTEXT)
            with pytest.raises(KeyDestroyed):
                await user.generate_data_key(tenant, CONTEXT)
            with pytest.raises(KeyDestroyed):
                await user.dedup_tag(tenant, bytes(32))
            with pytest.raises(KeyDestroyed):
                await user.rotate_tenant_key(tenant, above=1)
            assert await user.unwrap(neighbour, kept.wrapped, CONTEXT) == kept.plaintext

    async def test_a_tenant_without_keys_is_destroyed_for_good_too(
        self, keys: KeyManagement
    ) -> None:
        tenant = uuid4()
        await keys.destroy_tenant_key(tenant)
        with pytest.raises(KeyDestroyed):
            await keys.generate_data_key(tenant, CONTEXT)

    async def test_it_says_that_it_is_there(self, keys: KeyManagement) -> None:
        await keys.probe()

"""AWS KMS: for each version of a tenant's key a KMS key of its own, by the alias
`alias/muniment/<tenant>/<version>`.

KMS's own rotation keeps every old key for ever, and one key for all tenants could not be destroyed for
one of them: so a rotation makes another KMS key, and the old one is scheduled for deletion once nothing
hangs on it. What a data key is for is its encryption context, which KMS authenticates and writes to
CloudTrail: ids only.

Operations (https://docs.aws.amazon.com/kms/latest/APIReference): CreateKey, CreateAlias, DescribeKey,
GenerateDataKey, Encrypt, Decrypt, ReEncrypt, ScheduleKeyDeletion, CancelKeyDeletion, ListAliases. botocore
is an extra (`aws-kms`).
"""

import asyncio
import base64
import binascii
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from muniment.errors import ConfigurationError, KeyManagementUnavailable, SealBroken
from muniment.sealing.keys import DataKey
from muniment.sealing.remote_keys import version_of

ATTEMPTS = 3
CONCURRENT_CALLS = 16
"""Threads, each with a connection; further calls wait their turn, not longer than for an answer."""
PAUSES_SECONDS = 4.0
"""What botocore waits between its attempts, at most: one second and two, and something over."""
RETIRED_DAYS = 30
"""KMS deletes a retired key so much later, the longest that it knows: until then an administrator can
bring it back for an old backup."""
DESTROYED_DAYS = 7
"""The shortest that KMS knows. From the first moment on it refuses to use the key."""
_NOT_OURS = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
"""What is said of something that this key did not wrap for this context."""
_UNUSABLE = frozenset({"DisabledException", "KMSInvalidStateException"})

Answer = Mapping[str, Any]
"""What botocore makes of an answer's JSON."""


@dataclass(frozen=True)
class AwsAccess:
    """Without keys botocore finds credentials as it does everywhere: environment, profile, instance."""

    region: str
    endpoint: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    timeout_seconds: float = 2.0


class AwsKms:
    """`KeyService` on AWS KMS. Raises ConfigurationError where botocore is not installed."""

    name = "aws"

    def __init__(self, access: AwsAccess) -> None:
        self._access = access
        self._client: Any = None  # botocore makes its clients' classes at run time
        self._connecting = threading.Lock()
        self._threads = ThreadPoolExecutor(CONCURRENT_CALLS, thread_name_prefix="aws-kms")
        self._places = asyncio.Semaphore(CONCURRENT_CALLS)

    async def make_key(self, tenant_id: UUID) -> int:
        return await self.rotate(tenant_id, 0)

    async def rotate(self, tenant_id: UUID, above: int) -> int:
        version = above + 1
        if await self._metadata(tenant_id, version) is None:
            await self._make(tenant_id, version)
        return version

    async def generate_data_key(self, tenant_id: UUID, version: int, context: bytes) -> DataKey:
        made = await self._call(
            "generate_data_key",
            KeyId=_alias(tenant_id, version),
            KeySpec="AES_256",
            EncryptionContext=_context(context),
        )
        return DataKey(made["Plaintext"], _wrapped(version, made["CiphertextBlob"]))

    async def wrap(self, tenant_id: UUID, version: int, plaintext: bytes, context: bytes) -> bytes:
        answer = await self._call(
            "encrypt",
            KeyId=_alias(tenant_id, version),
            Plaintext=plaintext,
            EncryptionContext=_context(context),
        )
        return _wrapped(version, answer["CiphertextBlob"])

    async def unwrap(self, tenant_id: UUID, wrapped: bytes, context: bytes) -> bytes:
        answer = await self._call(
            "decrypt",
            opens=True,
            KeyId=_alias(tenant_id, version_of(wrapped)),
            CiphertextBlob=_ciphertext(wrapped),
            EncryptionContext=_context(context),
        )
        plaintext: bytes = answer["Plaintext"]
        return plaintext

    async def rewrap(self, tenant_id: UUID, wrapped: bytes, context: bytes, version: int) -> bytes:
        answer = await self._call(
            "re_encrypt",
            opens=True,
            CiphertextBlob=_ciphertext(wrapped),
            SourceKeyId=_alias(tenant_id, version_of(wrapped)),
            SourceEncryptionContext=_context(context),
            DestinationKeyId=_alias(tenant_id, version),
            DestinationEncryptionContext=_context(context),
        )
        return _wrapped(version, answer["CiphertextBlob"])

    async def retire(self, tenant_id: UUID, below: int) -> None:
        for version in range(1, below):
            await self._schedule_deletion(tenant_id, version, RETIRED_DAYS)

    async def retire_all(self, tenant_id: UUID, newest_version: int) -> None:
        await self.retire(tenant_id, newest_version + 1)

    async def destroy(self, tenant_id: UUID, newest_version: int) -> None:
        # One more: a rotation may have been making it.
        for version in range(1, newest_version + 2):
            await self._schedule_deletion(tenant_id, version, DESTROYED_DAYS)

    async def probe(self) -> None:
        await self._call("list_aliases", Limit=1)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    async def _make(self, tenant_id: UUID, version: int) -> None:
        """The alias makes it one key, whoever else makes one at the same time."""
        description = f"Muniment, tenant {tenant_id}, version {version}"
        made = await self._call("create_key", Description=description)
        key_id = made["KeyMetadata"]["KeyId"]
        try:
            await self._call(
                "create_alias", AliasName=_alias(tenant_id, version), TargetKeyId=key_id
            )
        except _AlreadyThere:
            await self._call(
                "schedule_key_deletion", KeyId=key_id, PendingWindowInDays=DESTROYED_DAYS
            )

    async def _metadata(self, tenant_id: UUID, version: int) -> Answer | None:
        """What KMS says of the key; None when there is none."""
        try:
            found = await self._call("describe_key", KeyId=_alias(tenant_id, version))
        except _Absent:
            return None
        metadata: Answer = found["KeyMetadata"]
        return metadata

    async def _schedule_deletion(self, tenant_id: UUID, version: int, days: int) -> None:
        """Not later than in so many days: what is to go later, as a retired key is, goes sooner."""
        found = await self._metadata(tenant_id, version)
        if found is None:
            return
        key_id = found["KeyId"]
        if found["KeyState"] == "PendingDeletion":
            if found["DeletionDate"] <= datetime.now(UTC) + timedelta(days=days):
                return
            # It is disabled then, not enabled: nothing opens in between.
            await self._call("cancel_key_deletion", KeyId=key_id)
        await self._call("schedule_key_deletion", KeyId=key_id, PendingWindowInDays=days)

    async def _call(self, operation: str, *, opens: bool = False, **parameters: object) -> Answer:
        """KMS's answer. `opens`: where KMS does not know what was sent, it is SealBroken."""
        call = partial(self._blocking_call, operation, parameters, opens=opens)
        # A connection and an answer for each attempt.
        longest = ATTEMPTS * 2 * self._access.timeout_seconds + PAUSES_SECONDS
        try:
            async with asyncio.timeout(longest):
                await self._places.acquire()
                return await asyncio.wrap_future(self._started(call))
        except TimeoutError:
            raise KeyManagementUnavailable(
                "AWS KMS does not answer in time", remedy="See that AWS KMS is reached."
            ) from None

    def _started(self, call: Callable[[], Answer]) -> Future[Answer]:
        """The call in a thread, whose place is free again when it ends, waited for or not."""
        loop = asyncio.get_running_loop()

        def leave(_: Future[Answer]) -> None:
            with suppress(RuntimeError):  # the loop is closed, and nobody waits
                loop.call_soon_threadsafe(self._places.release)

        running = self._threads.submit(call)
        running.add_done_callback(leave)
        return running

    def _blocking_call(
        self, operation: str, parameters: Mapping[str, object], *, opens: bool
    ) -> Answer:
        client = self._connected()
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            method: Callable[..., Answer] = getattr(client, operation)
            return method(**parameters)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "unknown"))
            raise _our_error(operation, code, opens=opens) from None
        except BotoCoreError as error:
            raise KeyManagementUnavailable(
                f"AWS KMS does not answer ({type(error).__name__})",
                remedy="See that AWS KMS is reached, and that Muniment's credentials are found.",
            ) from None

    def _connected(self) -> Any:
        with self._connecting:
            if self._client is None:
                self._client = _client(self._access)
            return self._client


class _AlreadyThere(Exception):
    """An alias that another process made first."""


class _Absent(KeyManagementUnavailable):
    """An alias that KMS does not know, or not yet: all of KMS knows it within minutes."""


def _client(access: AwsAccess) -> Any:
    try:
        from botocore.config import Config
        from botocore.session import Session
    except ImportError:
        raise ConfigurationError(
            "AWS KMS needs botocore, which is not installed",
            remedy="Install Muniment with its extra: `pip install muniment[aws-kms]`.",
        ) from None
    config = Config(
        connect_timeout=access.timeout_seconds,
        read_timeout=access.timeout_seconds,
        max_pool_connections=CONCURRENT_CALLS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )
    return Session().create_client(
        "kms",
        region_name=access.region,
        endpoint_url=access.endpoint,
        aws_access_key_id=access.access_key,
        aws_secret_access_key=access.secret_key,
        config=config,
    )


def _our_error(operation: str, code: str, *, opens: bool) -> Exception:
    if code == "AlreadyExistsException":
        return _AlreadyThere()
    if opens and code in _NOT_OURS:
        return SealBroken("AWS KMS does not unwrap a data key with the tenant's key")
    if code == "NotFoundException":
        return _Absent(
            "AWS KMS does not find a tenant's key, or not yet",
            remedy="A new key is known within minutes. Its alias is alias/muniment/<tenant>/….",
        )
    if code in _UNUSABLE:
        return KeyManagementUnavailable(
            "a tenant's KMS key is disabled, or is to be deleted",
            remedy="Enable it, or cancel its deletion; its alias is alias/muniment/<tenant>/….",
        )
    return KeyManagementUnavailable(
        f"AWS KMS refuses {operation} ({code})",
        remedy="Look at Muniment's credentials, and at what they allow: docs/keys.md.",
    )


def _alias(tenant_id: UUID, version: int) -> str:
    return f"alias/muniment/{tenant_id}/{version}"


def _context(context: bytes) -> dict[str, str]:
    return {"muniment": context.decode()}


def _wrapped(version: int, ciphertext: bytes) -> bytes:
    return f"aws:v{version}:".encode() + base64.b64encode(ciphertext)


def _ciphertext(wrapped: bytes) -> bytes:
    encoded = wrapped.rpartition(b":")[2]
    with suppress(binascii.Error):
        ciphertext = base64.b64decode(encoded, validate=True)
        if base64.b64encode(ciphertext) == encoded:  # else with padding that Python passes over
            return ciphertext
    raise SealBroken("a wrapped data key is cut short or of another format")

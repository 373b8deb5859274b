"""Vault's or OpenBao's transit engine: a key for each tenant, `muniment-<tenant>`, in Vault's versions.

The keys are derived ones: Vault wraps each data key under a key that it derives from the tenant's
and the context (HKDF), so that no data key unwraps for another context. What is asked of Vault, below
`/v1/<mount>/` (https://developer.hashicorp.com/vault/api-docs/secret/transit):

    POST keys/<name>, keys/<name>/config, keys/<name>/rotate    GET, DELETE keys/<name>
    POST datakey/plaintext/<name>, decrypt/<name>, rewrap/<name>, encrypt/<name>
"""

import asyncio
import base64
import binascii
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Generic, TypeVar
from uuid import UUID

import httpx
from pydantic import BaseModel, ValidationError

from muniment.errors import ConfigurationError, KeyManagementUnavailable, SealBroken
from muniment.sealing.keys import DataKey

ATTEMPTS = 3
PAUSE_SECONDS = 0.2
"""Before the second attempt; twice as long before the third."""
_PASSING = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""Vault is sealed (503), fails over, or is asked too much: another attempt may be answered."""

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True)
class VaultAccess:
    """`token` is asked before each request, since an agent may renew the file that it comes from."""

    address: str
    token: Callable[[], str]
    mount: str = "transit"
    namespace: str | None = None
    ca_file: Path | None = None
    timeout_seconds: float = 2.0


class _DataKey(BaseModel):
    plaintext: str
    ciphertext: str


class _Plaintext(BaseModel):
    plaintext: str


class _Ciphertext(BaseModel):
    ciphertext: str


class _Key(BaseModel):
    latest_version: int


class _Refusal(BaseModel):
    errors: list[str]


class _Answer(BaseModel, Generic[ModelT]):
    data: ModelT


class VaultTransit:
    """`KeyService` on Vault. For one event loop."""

    name = "vault"

    def __init__(self, access: VaultAccess) -> None:
        self._access = access
        self._client: httpx.AsyncClient | None = None

    async def make_key(self, tenant_id: UUID) -> int:
        name = _name(tenant_id)
        # Of a key that is there Vault says so, and leaves it as it is.
        await self._ask("POST", f"keys/{name}", {"type": "aes256-gcm96", "derived": True})
        await self._ask("POST", f"keys/{name}/config", {"deletion_allowed": True})
        return await self._newest(name)

    async def rotate(self, tenant_id: UUID, above: int) -> int:
        name = _name(tenant_id)
        newest = await self._newest(name)
        if newest <= above:
            await self._ask("POST", f"keys/{name}/rotate")
            newest = await self._newest(name)
        return newest

    async def generate_data_key(self, tenant_id: UUID, version: int, context: bytes) -> DataKey:
        asked: dict[str, str | int | bool] = {"context": _encoded(context), "bits": 256}
        answer = await self._ask("POST", f"datakey/plaintext/{_name(tenant_id)}", asked)
        made = _parsed(_DataKey, answer)
        return DataKey(_decoded(made.plaintext), made.ciphertext.encode())

    async def wrap(self, tenant_id: UUID, version: int, plaintext: bytes, context: bytes) -> bytes:
        asked = {"plaintext": _encoded(plaintext), "context": _encoded(context)}
        answer = await self._ask("POST", f"encrypt/{_name(tenant_id)}", asked)
        return _parsed(_Ciphertext, answer).ciphertext.encode()

    async def unwrap(self, tenant_id: UUID, wrapped: bytes, context: bytes) -> bytes:
        asked = {"ciphertext": wrapped.decode(), "context": _encoded(context)}
        answer = await self._ask("POST", f"decrypt/{_name(tenant_id)}", asked, opens=True)
        return _decoded(_parsed(_Plaintext, answer).plaintext)

    async def rewrap(self, tenant_id: UUID, wrapped: bytes, context: bytes, version: int) -> bytes:
        asked = {"ciphertext": wrapped.decode(), "context": _encoded(context)}
        answer = await self._ask("POST", f"rewrap/{_name(tenant_id)}", asked, opens=True)
        return _parsed(_Ciphertext, answer).ciphertext.encode()

    async def retire(self, tenant_id: UUID, below: int) -> None:
        asked = {"min_decryption_version": below}
        await self._ask("POST", f"keys/{_name(tenant_id)}/config", asked)

    async def retire_all(self, tenant_id: UUID, newest_version: int) -> None:
        # Vault keeps its newest version: so a newer one is made, by which nothing is wrapped.
        name = _name(tenant_id)
        if await self._ask("GET", f"keys/{name}", may_be_absent=True) is not None:
            newest = await self._newest(name)
            await self.retire(tenant_id, await self.rotate(tenant_id, newest))

    async def destroy(self, tenant_id: UUID, newest_version: int) -> None:
        name = _name(tenant_id)
        if await self._ask("GET", f"keys/{name}", may_be_absent=True) is not None:
            await self._ask("POST", f"keys/{name}/config", {"deletion_allowed": True})
            await self._ask("DELETE", f"keys/{name}")

    async def probe(self) -> None:
        # A key that no tenant has: only a transit engine says of it that it is absent.
        await self._ask("GET", "keys/muniment-probe", may_be_absent=True)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _newest(self, name: str) -> int:
        return _parsed(_Key, await self._ask("GET", f"keys/{name}")).latest_version

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, str | int | bool] | None = None,
        *,
        opens: bool = False,
        may_be_absent: bool = False,
    ) -> bytes | None:
        """The answer's body. `opens`: a refusal of what was sent means that it is not what it should
        be. None for a key that is absent, where it may be."""
        answer = await self._send(method, f"{self._access.mount}/{path}", body)
        if may_be_absent and _says_that_it_is_absent(answer):
            return None
        if opens and answer.status_code == HTTPStatus.BAD_REQUEST:
            raise SealBroken("Vault does not unwrap a data key with the tenant's key")
        if not answer.is_success:
            raise KeyManagementUnavailable(
                f"Vault refuses {method} {path.partition('/')[0]} ({answer.status_code})",
                remedy="Look at MUNIMENT_KEYS__ADDRESS, __NAMESPACE and __MOUNT, and at the policy of"
                " Muniment's token: docs/keys.md.",
            )
        return answer.content

    async def _send(
        self, method: str, path: str, body: Mapping[str, str | int | bool] | None
    ) -> httpx.Response:
        """Any answer but that it cannot be answered now, or that the token is refused."""
        # In a thread: its file may lie on a disk that several machines share.
        token = await asyncio.to_thread(self._access.token)
        problem = "it was not asked"
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(PAUSE_SECONDS * attempt)
            try:
                answer = await self._connected().request(
                    method,
                    f"/v1/{path}",
                    json=body,
                    headers={"X-Vault-Token": token},
                )
            except (httpx.TransportError, httpx.InvalidURL) as error:
                problem = type(error).__name__
                continue
            if answer.status_code == HTTPStatus.FORBIDDEN:
                raise KeyManagementUnavailable(
                    "Vault refuses Muniment's token",
                    remedy="Renew the token, and look at its policy: docs/keys.md.",
                )
            if answer.status_code not in _PASSING:
                return answer
            problem = str(answer.status_code)
        raise KeyManagementUnavailable(
            f"Vault does not answer ({problem})",
            remedy="See that Vault runs, is unsealed, and is reached at MUNIMENT_KEYS__ADDRESS.",
        )

    def _connected(self) -> httpx.AsyncClient:
        """Made at the first request, in the event loop that uses it."""
        if self._client is None:
            access = self._access
            namespace = {"X-Vault-Namespace": access.namespace} if access.namespace else {}
            try:
                self._client = httpx.AsyncClient(
                    base_url=access.address,
                    headers={"X-Vault-Request": "true", **namespace},
                    timeout=access.timeout_seconds,
                    verify=_trusted(access.ca_file),
                    trust_env=False,
                )
            except OSError as error:  # ssl.SSLError is one
                raise ConfigurationError(
                    "MUNIMENT_KEYS__CA_FILE is no PEM file of certificates"
                ) from error
        return self._client


def _says_that_it_is_absent(answer: httpx.Response) -> bool:
    """Vault names no error for a key that is absent, and one for a mount that is: `no handler for
    route`."""
    if answer.status_code != HTTPStatus.NOT_FOUND:
        return False
    try:
        return not _Refusal.model_validate_json(answer.content).errors
    except ValidationError:
        return False


def _name(tenant_id: UUID) -> str:
    return f"muniment-{tenant_id}"


def _trusted(ca_file: Path | None) -> ssl.SSLContext:
    """The public authorities, and those of that file besides."""
    context = httpx.create_ssl_context(trust_env=False)
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def _parsed(model: type[ModelT], content: bytes | None) -> ModelT:
    try:
        return _Answer[model].model_validate_json(content or b"").data  # type: ignore[valid-type] # of the generic, at run time
    except ValidationError:
        # The cause would show key material.
        raise KeyManagementUnavailable("Vault's answer is not one of its transit engine") from None


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _decoded(content: str) -> bytes:
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error:
        raise KeyManagementUnavailable("Vault's answer is not base64") from None

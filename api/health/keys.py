"""Whether the tenants' keys can be used, and how far a change of their provider has come."""

from dataclasses import dataclass

from api.health.checks import Fine
from muniment.sealing import ChangingKeys, KeyManagement


@dataclass(frozen=True)
class KeysCheck:
    keys: KeyManagement

    async def probe(self) -> Fine | None:
        """Raises KeyManagementUnavailable where a provider is away that something hangs on."""
        await self.keys.probe()
        if not isinstance(self.keys, ChangingKeys):
            return None
        needed = await self.keys.needed()
        told = [
            f"some tenants' keys are still with {former}"
            if former in needed
            else f"{former} may be taken out of MUNIMENT_KEYS__FORMER"
            for former in self.keys.former
        ]
        return Fine(f"{self.keys.name} wraps; {'; '.join(told)}")

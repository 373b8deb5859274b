"""Fingerprints: equal ones mean equal results, whoever asks and whenever."""

import hashlib
import json
from collections.abc import Sequence

from pydantic import JsonValue

from muniment.contracts.jobs import StageName


def fingerprint(
    stage: StageName,
    version: str,
    inputs: Sequence[str],
    settings: dict[str, JsonValue] | None = None,
) -> str:
    """SHA-256 (hex) over canonical JSON of the stage, the version of what carries it out (its
    libraries' and models' included), its settings, and its inputs' fingerprints in their order."""
    canonical = json.dumps(
        {
            "stage": stage.value,
            "version": version,
            "inputs": list(inputs),
            "settings": settings or {},
        },
        sort_keys=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(canonical.encode()).hexdigest()

"""The cache of responses, by what the settings say: for the composition roots."""

import hashlib
import json
from datetime import timedelta
from pathlib import Path

import retrieval
from db.queries.answer_cache import CacheLimits
from db.session import Database
from muniment.embedding import MODEL_ID, MODEL_VERSION
from muniment.sealing import KeyManagement
from muniment.settings import Settings
from retrieval.cache.responses import CacheIdentity, ResponseCache
from retrieval.vector import QueryEmbedder

CODE = ("api", "db", "muniment", "retrieval")
"""Packages that have a part in what is found, how it is worded, and in what form it is kept."""


_INSTALLED = Path(retrieval.__file__).parents[1]


def build_cache(
    settings: Settings, database: Database, keys: KeyManagement, embedder: QueryEmbedder
) -> ResponseCache:
    """Processes with the same settings tell again what others of them kept."""
    limits = CacheLimits(
        timedelta(minutes=settings.cache.keep_minutes),
        settings.cache.max_responses,
        settings.cache.max_bytes,
    )
    groups = (settings.lexical, settings.rerank, settings.models)
    process = [
        code_digest(_INSTALLED),
        MODEL_ID,
        MODEL_VERSION,
        *(each.model_dump(mode="json") for each in groups),
    ]
    digest = hashlib.sha256(json.dumps(process, sort_keys=True).encode()).hexdigest()
    models = tuple(each.name for each in settings.models.providers)
    identity = CacheIdentity(models, digest)
    kept = limits if settings.cache.enabled else None
    return ResponseCache(database, keys, kept, identity, embedder)


def code_digest(installed: Path) -> str:
    """Of all modules and prompts: another release tells nothing again of what this one said, however little
    it differs. Raises OSError for a file that cannot be read."""
    digest = hashlib.sha256()
    for package in CODE:
        folder = installed / package
        for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.txt")]):
            digest.update(f"{path.relative_to(installed)}\n".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()

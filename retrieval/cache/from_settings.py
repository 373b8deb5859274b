"""The cache of responses, by what the settings say: for the composition roots."""

import hashlib
import json
from datetime import timedelta

from db.queries.answer_cache import CacheLimits
from db.session import Database
from muniment.embedding import MODEL_ID, MODEL_VERSION
from muniment.sealing import KeyManagement
from muniment.settings import Settings
from retrieval.cache.responses import CacheIdentity, ResponseCache

FORM = 1
"""Raised when what is kept has another form, or a release finds or words otherwise what it did before."""


def build_cache(settings: Settings, database: Database, keys: KeyManagement) -> ResponseCache:
    """Processes with the same settings tell again what others of them kept."""
    limits = CacheLimits(
        timedelta(minutes=settings.cache.keep_minutes),
        settings.cache.max_responses,
        settings.cache.max_bytes,
    )
    groups = (settings.lexical, settings.rerank, settings.models)
    process = [FORM, MODEL_ID, MODEL_VERSION, *(each.model_dump(mode="json") for each in groups)]
    digest = hashlib.sha256(json.dumps(process, sort_keys=True).encode()).hexdigest()
    models = tuple(each.name for each in settings.models.providers)
    identity = CacheIdentity(models, digest)
    return ResponseCache(database, keys, limits if settings.cache.enabled else None, identity)

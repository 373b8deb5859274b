"""Typed search attributes, so that a job can be found in the Temporal Web UI.

They are never encrypted: ids, types, stages and counts only, nothing of a document or a person.
"""

from temporalio.common import SearchAttributeKey

TENANT = SearchAttributeKey.for_keyword("MunimentTenant")
FILE = SearchAttributeKey.for_keyword("MunimentFile")
MEDIA_TYPE = SearchAttributeKey.for_keyword("MunimentMediaType")
STAGE = SearchAttributeKey.for_keyword("MunimentStage")
OUTCOME = SearchAttributeKey.for_keyword("MunimentOutcome")
PAGE_COUNT = SearchAttributeKey.for_int("MunimentPageCount")

ALL: tuple[SearchAttributeKey[str] | SearchAttributeKey[int], ...] = (
    TENANT,
    FILE,
    MEDIA_TYPE,
    STAGE,
    OUTCOME,
    PAGE_COUNT,
)

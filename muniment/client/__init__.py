"""The typed Python client of Muniment's HTTP API."""

from muniment.client.annotations import ActivityEntry, Anchor, Annotation, Comment
from muniment.client.answering import Part, Token
from muniment.client.async_client import AsyncMuniment
from muniment.client.comparisons import CandidateSummary, ComparisonSummary, ReadingComparison
from muniment.client.events import Event, EventKind
from muniment.client.key_rotations import KeyRotation
from muniment.client.models import (
    Answer,
    Batch,
    Chunk,
    Citation,
    File,
    Hit,
    Job,
    Layer,
    Listing,
    Page,
    Problem,
    SearchResult,
    Stage,
    Version,
)
from muniment.client.problems import ApiProblem, ApiUnreachable, StreamBroken, UnexpectedAnswer
from muniment.client.retry import Retry
from muniment.client.shares import Share
from muniment.client.sync_client import Muniment
from muniment.client.versions import ComparedPage, VersionComparison, WordSpan

__all__ = [
    "ActivityEntry",
    "Anchor",
    "Annotation",
    "Answer",
    "ApiProblem",
    "ApiUnreachable",
    "AsyncMuniment",
    "Batch",
    "CandidateSummary",
    "Chunk",
    "Citation",
    "Comment",
    "ComparedPage",
    "ComparisonSummary",
    "Event",
    "EventKind",
    "File",
    "Hit",
    "Job",
    "KeyRotation",
    "Layer",
    "Listing",
    "Muniment",
    "Page",
    "Part",
    "Problem",
    "ReadingComparison",
    "Retry",
    "SearchResult",
    "Share",
    "Stage",
    "StreamBroken",
    "Token",
    "UnexpectedAnswer",
    "Version",
    "VersionComparison",
    "WordSpan",
]

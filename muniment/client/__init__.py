"""The typed Python client of Muniment's HTTP API."""

from muniment.client.answering import Part, Token
from muniment.client.async_client import AsyncMuniment
from muniment.client.building import UNCHANGED
from muniment.client.comparisons import CandidateSummary, ComparisonSummary, ReadingComparison
from muniment.client.conversation_socket import AsyncConversationSocket, ConversationSocket
from muniment.client.events import Event, EventKind
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
from muniment.client.resources.annotations import ActivityEntry, Anchor, Annotation, Comment
from muniment.client.resources.api_keys import ApiKey
from muniment.client.resources.collections import Collection
from muniment.client.resources.conversations import (
    Conversation,
    ConversationAnswer,
    Feedback,
    Message,
)
from muniment.client.resources.dispositions import (
    Disposition,
    RetentionDecision,
    RetentionSweep,
)
from muniment.client.resources.erasures import Erasure
from muniment.client.resources.evaluations import Evaluation, Metric
from muniment.client.resources.files import FileTiers
from muniment.client.resources.findings import Finding, FindingPolicy
from muniment.client.resources.grants import Grant
from muniment.client.resources.groups import Group
from muniment.client.resources.index_versions import IndexEvaluation, IndexVersion
from muniment.client.resources.integrity import IntegrityFault, IntegrityReport, IntegrityRun
from muniment.client.resources.invitations import AcceptedInvitation, Invitation
from muniment.client.resources.key_rotations import KeyRotation
from muniment.client.resources.legal_holds import LegalHold
from muniment.client.resources.models import LanguageModel, LanguageModels
from muniment.client.resources.principals import Identity, Principal
from muniment.client.resources.retention import FileRetention, RetentionPolicy
from muniment.client.resources.shares import Share
from muniment.client.resources.synonyms import SynonymList, SynonymRule
from muniment.client.resources.tasks import Task
from muniment.client.resources.tenant import (
    AuditEvent,
    DirectoryEntry,
    DirectoryMatches,
    Me,
    Quotas,
)
from muniment.client.resources.tenants import Tenant
from muniment.client.resources.tier_policies import TierPolicy
from muniment.client.resources.webhooks import Webhook, WebhookDelivery
from muniment.client.retry import Retry
from muniment.client.sync_client import Muniment
from muniment.client.versions import ComparedPage, VersionComparison, WordSpan

__all__ = [
    "UNCHANGED",
    "AcceptedInvitation",
    "ActivityEntry",
    "Anchor",
    "Annotation",
    "Answer",
    "ApiKey",
    "ApiProblem",
    "ApiUnreachable",
    "AsyncConversationSocket",
    "AsyncMuniment",
    "AuditEvent",
    "Batch",
    "CandidateSummary",
    "Chunk",
    "Citation",
    "Collection",
    "Comment",
    "ComparedPage",
    "ComparisonSummary",
    "Conversation",
    "ConversationAnswer",
    "ConversationSocket",
    "DirectoryEntry",
    "DirectoryMatches",
    "Disposition",
    "Erasure",
    "Evaluation",
    "Event",
    "EventKind",
    "Feedback",
    "File",
    "FileRetention",
    "FileTiers",
    "Finding",
    "FindingPolicy",
    "Grant",
    "Group",
    "Hit",
    "Identity",
    "IndexEvaluation",
    "IndexVersion",
    "IntegrityFault",
    "IntegrityReport",
    "IntegrityRun",
    "Invitation",
    "Job",
    "KeyRotation",
    "LanguageModel",
    "LanguageModels",
    "Layer",
    "LegalHold",
    "Listing",
    "Me",
    "Message",
    "Metric",
    "Muniment",
    "Page",
    "Part",
    "Principal",
    "Problem",
    "Quotas",
    "ReadingComparison",
    "RetentionDecision",
    "RetentionPolicy",
    "RetentionSweep",
    "Retry",
    "SearchResult",
    "Share",
    "Stage",
    "StreamBroken",
    "SynonymList",
    "SynonymRule",
    "Task",
    "Tenant",
    "TierPolicy",
    "Token",
    "UnexpectedAnswer",
    "Version",
    "VersionComparison",
    "Webhook",
    "WebhookDelivery",
    "WordSpan",
]

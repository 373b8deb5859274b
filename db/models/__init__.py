"""The tables. `db/migrations` is what makes them; a test holds the two together."""

from db.models.access import (
    AccessGrant,
    ApiKey,
    Collection,
    GroupMember,
    Principal,
    PrincipalGroup,
    StreamTicket,
    Tenant,
)
from db.models.analytics import AnalyticsPolicy, AskedQuery
from db.models.annotations import Annotation, AnnotationAnchor, AnnotationComment
from db.models.answer_cache import AlikeQuestionPolicy, CachedResponse, CorpusEpoch
from db.models.audit_tree import AuditCheckpoint, AuditLeaf, AuditSubtree, AuditUnsealed
from db.models.batches import Batch, BatchItem
from db.models.columns import new_id, now
from db.models.comparisons import ComparedPage, ReadingComparison
from db.models.content import (
    ChunkRow,
    EmbeddingRow,
    FindingRow,
    IndexVersion,
    LexicalDocument,
    PageLayer,
    PageRow,
    Posting,
    PostingRemoval,
    UnmergedPosting,
)
from db.models.conversations import (
    AnswerEvent,
    Conversation,
    ConversationMessage,
    Feedback,
    MessageSource,
)
from db.models.evaluations import (
    EvaluationMetric,
    EvaluationQuestion,
    EvaluationResult,
    EvaluationRun,
    EvaluationSet,
)
from db.models.files import Blob, BlobReference, File, FileVersion
from db.models.findings import FindingJudgement, FindingPolicy
from db.models.governance import (
    Activity,
    AuditEvent,
    Erasure,
    ErasureLedgerMark,
    IdempotencyKey,
)
from db.models.integrity import IntegrityFault, IntegrityRun
from db.models.invitations import Invitation, InvitationGroup
from db.models.jobs import (
    Decision,
    Job,
    JobEvent,
    JobEventHorizon,
    JobPassword,
    StageOutput,
    StageResult,
)
from db.models.key_rotations import KeyRotation
from db.models.language_models import (
    ModelPause,
    TokenBudget,
    TokenReservation,
    TokenUsage,
)
from db.models.legal_holds import (
    LegalHold,
    LegalHoldCustodian,
    LegalHoldFile,
    LegalHoldItem,
)
from db.models.question_lists import QuestionList, QuestionListItem, QuestionListSource
from db.models.quotas import TenantQuota, TenantUsage
from db.models.retention import (
    Disposition,
    FileAccess,
    RetentionDecision,
    RetentionLock,
    RetentionPolicy,
    RetentionSweep,
)
from db.models.shares import ShareLink, ShareSession, ShareTry
from db.models.sign_ins import (
    BearerToken,
    ExternalIdentity,
    PrincipalPassword,
    SignIn,
    SignInAttempt,
)
from db.models.subject_requests import SubjectDecision, SubjectRequest, SubjectRequestItem
from db.models.synonyms import Synonym
from db.models.tiers import TierMove, TierPolicy
from db.models.uploads import Upload, UploadPart, UploadTimer
from db.models.vector_stores import VectorStoreBatch, VectorStoreFile
from db.models.webhooks import (
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEvent,
    WebhookSecret,
)

__all__ = [
    "AccessGrant",
    "Activity",
    "AlikeQuestionPolicy",
    "AnalyticsPolicy",
    "Annotation",
    "AnnotationAnchor",
    "AnnotationComment",
    "AnswerEvent",
    "ApiKey",
    "AskedQuery",
    "AuditCheckpoint",
    "AuditEvent",
    "AuditLeaf",
    "AuditSubtree",
    "AuditUnsealed",
    "Batch",
    "BatchItem",
    "BearerToken",
    "Blob",
    "BlobReference",
    "CachedResponse",
    "ChunkRow",
    "Collection",
    "ComparedPage",
    "Conversation",
    "ConversationMessage",
    "CorpusEpoch",
    "Decision",
    "Disposition",
    "EmbeddingRow",
    "Erasure",
    "ErasureLedgerMark",
    "EvaluationMetric",
    "EvaluationQuestion",
    "EvaluationResult",
    "EvaluationRun",
    "EvaluationSet",
    "ExternalIdentity",
    "Feedback",
    "File",
    "FileAccess",
    "FileVersion",
    "FindingJudgement",
    "FindingPolicy",
    "FindingRow",
    "GroupMember",
    "IdempotencyKey",
    "IndexVersion",
    "IntegrityFault",
    "IntegrityRun",
    "Invitation",
    "InvitationGroup",
    "Job",
    "JobEvent",
    "JobEventHorizon",
    "JobPassword",
    "KeyRotation",
    "LegalHold",
    "LegalHoldCustodian",
    "LegalHoldFile",
    "LegalHoldItem",
    "LexicalDocument",
    "MessageSource",
    "ModelPause",
    "PageLayer",
    "PageRow",
    "Posting",
    "PostingRemoval",
    "Principal",
    "PrincipalGroup",
    "PrincipalPassword",
    "QuestionList",
    "QuestionListItem",
    "QuestionListSource",
    "ReadingComparison",
    "RetentionDecision",
    "RetentionLock",
    "RetentionPolicy",
    "RetentionSweep",
    "ShareLink",
    "ShareSession",
    "ShareTry",
    "SignIn",
    "SignInAttempt",
    "StageOutput",
    "StageResult",
    "StreamTicket",
    "SubjectDecision",
    "SubjectRequest",
    "SubjectRequestItem",
    "Synonym",
    "Tenant",
    "TenantQuota",
    "TenantUsage",
    "TierMove",
    "TierPolicy",
    "TokenBudget",
    "TokenReservation",
    "TokenUsage",
    "UnmergedPosting",
    "Upload",
    "UploadPart",
    "UploadTimer",
    "VectorStoreBatch",
    "VectorStoreFile",
    "Webhook",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEvent",
    "WebhookSecret",
    "new_id",
    "now",
]

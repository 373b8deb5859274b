"""Every error Muniment raises on purpose.

    MunimentError
    ├── RequestError                  the caller asked for something it cannot have (4xx)
    │   ├── InvalidRequest            400  malformed or contradictory
    │   ├── Unauthenticated           401  no key or token, or one that is unknown, expired or revoked
    │   ├── Forbidden                 403  the key lacks a scope or the principal a right
    │   ├── QuotaExceeded             403  the tenant keeps as much as it may
    │   ├── NotFound                  404  absent, or another tenant's: the two look the same
    │   ├── MethodNotAllowed          405
    │   ├── RequestTooSlow            408  the request stopped arriving
    │   ├── Conflict                  409  the thing's state forbids it
    │   │   ├── ContentInRetrieval    409  it lies in an archive, and is being brought out of it
    │   │   ├── Preserved             409  a hold, a lock or a retention keeps it as it is
    │   │   └── ScanPending           409  its virus scan has not ended
    │   ├── Gone                      410
    │   ├── PreconditionFailed        412
    │   │   └── ProtocolVersion       412  a version of tus that is not spoken here
    │   ├── ContentTooLarge           413
    │   ├── UnsupportedMediaType      415  the body's type or coding is not taken here
    │   ├── RangeNotSatisfiable       416
    │   ├── Unprocessable             422  well-formed, but wrong; an idempotency key with another body
    │   │   └── AddressNotAllowed     422  a URL to which nothing is sent
    │   ├── TooManyRequests           429
    │   │   ├── RateLimitExceeded     429  more requests than the caller or its tenant may make
    │   │   ├── TokenBudgetExhausted  429  more than the tenant may spend on language models
    │   │   └── TooManyAttempts       429  at signing in
    │   └── RequestHeadTooLarge       431
    ├── DocumentError                 the file itself is at fault: a retry with the same bytes cannot help
    │   ├── EmptyFile
    │   ├── UnknownFormat             no engine reads this type
    │   ├── WrongType                 the content is not what its name or declared type says
    │   ├── DamagedDocument           truncated or malformed beyond reading
    │   ├── EncryptedDocument         a password is needed, or the one given is wrong
    │   ├── NoPages
    │   ├── LimitExceeded             larger, deeper or longer than the limits allow
    │   ├── MalwareFound
    │   ├── ContentUnscannable        the virus scanner could not vouch for it
    │   ├── ContentWithheld           a person rejected it
    │   ├── FindingsHeld              personal data or secrets in it wait for a person
    │   └── FindingsRefused           the tenant's policies refuse what is in it
    ├── EngineError                   an engine failed on its own account: a retry may help
    │   ├── EngineCrashed
    │   ├── EngineTimedOut
    │   │   └── EngineTimeUsedUp      by its own work, whatever the machine's load: a retry is vain
    │   └── EngineOutOfMemory
    ├── DependencyUnavailable         503: a service Muniment needs does not answer; a retry helps
    │   ├── ScannerUnavailable
    │   ├── ObjectStoreUnavailable
    │   │   └── StorageFull           507: a disk has no space left
    │   ├── SourceUnavailable
    │   ├── KeyManagementUnavailable
    │   │   └── KeyStorageFull        507: the disk of the folder of keys has no space left
    │   ├── DatabaseUnavailable
    │   │   ├── DatabaseTooSlow       a statement outlasted its limit, for this one document perhaps
    │   │   └── DatabaseFull          507: its disk has no space left
    │   ├── ErasuresToRepeat      a restored database shows what was erased
    │   ├── OcrServiceUnavailable
    │   │   └── OcrServiceBusy
    │   ├── IssuerUnavailable         who issues the tokens that were to be verified
    │   └── OrchestratorUnavailable
    ├── IntegrityError                what was stored is not what is read: never retried silently
    │   ├── SealBroken                authentication of sealed content failed
    │   ├── ObjectMissing
    │   ├── KeyDestroyed              the wrapped key is gone: the content was erased
    │   ├── CheckpointInvalid         what should prove the audit trail is damaged, or signed by nobody known
    │   ├── AuditTampered             the audit trail is not what was sealed
    │   └── DigestMismatch            400: the bytes that came are not those that were announced
    │       └── ChecksumMismatch      460: likewise, of a piece of an upload (tus)
    └── ConfigurationError            the operator's settings cannot work

Each class carries an RFC 9457 problem type, a title, an HTTP status, whether a retry can help, and what the
reader can do about it. `api/problems.py` alone maps them to HTTP, `activities/failures.py` to Temporal.
"""

from muniment.errors.base import (
    ConfigurationError,
    MunimentError,
    WrongField,
)
from muniment.errors.dependencies import (
    DatabaseFull,
    DatabaseTooSlow,
    DatabaseUnavailable,
    DependencyUnavailable,
    ErasuresToRepeat,
    IssuerUnavailable,
    KeyManagementUnavailable,
    KeyStorageFull,
    ObjectStoreUnavailable,
    OcrServiceBusy,
    OcrServiceUnavailable,
    OrchestratorUnavailable,
    ScannerUnavailable,
    SourceUnavailable,
    StorageFull,
)
from muniment.errors.documents import (
    ContentUnscannable,
    ContentWithheld,
    DamagedDocument,
    DocumentError,
    EmptyFile,
    EncryptedDocument,
    EngineCrashed,
    EngineError,
    EngineOutOfMemory,
    EngineTimedOut,
    EngineTimeUsedUp,
    FindingsHeld,
    FindingsRefused,
    LimitExceeded,
    MalwareFound,
    NoPages,
    UnknownFormat,
    WrongType,
)
from muniment.errors.requests import (
    AddressNotAllowed,
    Conflict,
    ContentInRetrieval,
    ContentTooLarge,
    Forbidden,
    Gone,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PreconditionFailed,
    Preserved,
    ProtocolVersion,
    QuotaExceeded,
    RangeNotSatisfiable,
    RateLimitExceeded,
    RequestError,
    RequestHeadTooLarge,
    RequestTooSlow,
    ScanPending,
    TokenBudgetExhausted,
    TooManyAttempts,
    TooManyRequests,
    Unauthenticated,
    Unprocessable,
    UnsupportedMediaType,
)
from muniment.errors.stored import (
    AuditTampered,
    CertificateInvalid,
    CheckpointInvalid,
    ChecksumMismatch,
    DigestMismatch,
    IntegrityError,
    KeyDestroyed,
    ObjectMissing,
    SealBroken,
)

__all__ = [
    "AddressNotAllowed",
    "AuditTampered",
    "CertificateInvalid",
    "CheckpointInvalid",
    "ChecksumMismatch",
    "ConfigurationError",
    "Conflict",
    "ContentInRetrieval",
    "ContentTooLarge",
    "ContentUnscannable",
    "ContentWithheld",
    "DamagedDocument",
    "DatabaseFull",
    "DatabaseTooSlow",
    "DatabaseUnavailable",
    "DependencyUnavailable",
    "DigestMismatch",
    "DocumentError",
    "EmptyFile",
    "EncryptedDocument",
    "EngineCrashed",
    "EngineError",
    "EngineOutOfMemory",
    "EngineTimeUsedUp",
    "EngineTimedOut",
    "ErasuresToRepeat",
    "FindingsHeld",
    "FindingsRefused",
    "Forbidden",
    "Gone",
    "IntegrityError",
    "InvalidRequest",
    "IssuerUnavailable",
    "KeyDestroyed",
    "KeyManagementUnavailable",
    "KeyStorageFull",
    "LimitExceeded",
    "MalwareFound",
    "MethodNotAllowed",
    "MunimentError",
    "NoPages",
    "NotFound",
    "ObjectMissing",
    "ObjectStoreUnavailable",
    "OcrServiceBusy",
    "OcrServiceUnavailable",
    "OrchestratorUnavailable",
    "PreconditionFailed",
    "Preserved",
    "ProtocolVersion",
    "QuotaExceeded",
    "RangeNotSatisfiable",
    "RateLimitExceeded",
    "RequestError",
    "RequestHeadTooLarge",
    "RequestTooSlow",
    "ScanPending",
    "ScannerUnavailable",
    "SealBroken",
    "SourceUnavailable",
    "StorageFull",
    "TokenBudgetExhausted",
    "TooManyAttempts",
    "TooManyRequests",
    "Unauthenticated",
    "UnknownFormat",
    "Unprocessable",
    "UnsupportedMediaType",
    "WrongField",
    "WrongType",
]

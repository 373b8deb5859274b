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
    │   │   └── ContentInRetrieval    409  it lies in an archive, and is being brought out of it
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
    │   └── ContentWithheld           a person rejected it
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
    │   ├── DatabaseUnavailable
    │   │   ├── DatabaseTooSlow       a statement outlasted its limit, for this one document perhaps
    │   │   └── DatabaseFull          507: its disk has no space left
    │   ├── OcrServiceUnavailable
    │   │   └── OcrServiceBusy
    │   ├── IssuerUnavailable         who issues the tokens that were to be verified
    │   └── OrchestratorUnavailable
    ├── IntegrityError                what was stored is not what is read: never retried silently
    │   ├── SealBroken                authentication of sealed content failed
    │   ├── ObjectMissing
    │   ├── KeyDestroyed              the wrapped key is gone: the content was erased
    │   └── DigestMismatch            400: the bytes that came are not those that were announced
    │       └── ChecksumMismatch      460: likewise, of a piece of an upload (tus)
    └── ConfigurationError            the operator's settings cannot work

Each class carries an RFC 9457 problem type, a title, an HTTP status, whether a retry can help, and what the
reader can do about it. `api/problems.py` alone maps them to HTTP, `activities/failures.py` to Temporal.
"""

from collections.abc import Sequence
from typing import ClassVar, TypedDict


class WrongField(TypedDict):
    """A field that is wrong, by its path, and what is wrong with it."""

    field: str
    detail: str


class MunimentError(Exception):
    """Base of all errors raised on purpose.

    `detail` says what happened, `remedy` what to do about it; neither ever holds document text,
    secrets or personal data, since both are logged and shown. `retry_after_seconds` is how long a
    retry should wait, where the kind of error says so better than a general back-off.
    """

    problem: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    retry_after_seconds: ClassVar[float | None] = None
    default_remedy: ClassVar[str] = "Look at the log with the request id; report it if it persists."

    def __init__(
        self,
        detail: str,
        *,
        remedy: str | None = None,
        errors: Sequence[WrongField] = (),
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy or self.default_remedy
        self.errors = tuple(errors)

    @property
    def problem_type(self) -> str:
        """The problem type as a URN, stable across releases."""
        return f"urn:muniment:problem:{self.problem}"


# ── the caller ──────────────────────────────────────────────────────────────────────────────────


class RequestError(MunimentError):
    problem = "bad-request"
    title = "The request cannot be carried out"
    status = 400
    default_remedy = "Correct the request; the OpenAPI description documents every field."


class InvalidRequest(RequestError):
    problem = "invalid-request"
    title = "The request is malformed"


class Unauthenticated(RequestError):
    problem = "unauthenticated"
    title = "A valid API key or token is needed"
    status = 401
    default_remedy = (
        "Send `Authorization: Bearer …` with a key or token that is neither expired nor revoked."
    )


class Forbidden(RequestError):
    problem = "forbidden"
    title = "This caller may not do that"
    status = 403
    default_remedy = (
        "Use a key with the scope that the detail names, or ask for the right to do it."
    )


class QuotaExceeded(RequestError):
    problem = "quota-exceeded"
    title = "The tenant keeps as much as it may"
    status = 403
    default_remedy = (
        "Erase files that are not needed (those in the trash count), or ask the operator for more."
    )


class NotFound(RequestError):
    problem = "not-found"
    title = "There is no such thing here"
    status = 404
    default_remedy = "Check the id; things of other tenants are not found either."


class MethodNotAllowed(RequestError):
    problem = "method-not-allowed"
    title = "This path does not take that method"
    status = 405
    default_remedy = "Use a method that the Allow header names."


class RequestTooSlow(RequestError):
    problem = "request-too-slow"
    title = "The request did not arrive in time"
    status = 408
    retryable = True
    default_remedy = "Send the request again, without long pauses."


class Conflict(RequestError):
    problem = "conflict"
    title = "The present state forbids it"
    status = 409
    default_remedy = "Read the thing again and act on its present state."


class ContentInRetrieval(Conflict):
    problem = "content-in-retrieval"
    title = "The content is being retrieved from an archive"
    retryable = True
    retry_after_seconds = 900.0
    default_remedy = "Ask again later; `GET /v1/files/{id}/tier` tells how far it is."


class ScanPending(Conflict):
    problem = "scan-pending"
    title = "The virus scan has not ended"
    retryable = True
    retry_after_seconds = 5.0


class Gone(RequestError):
    problem = "gone"
    title = "It is no longer kept"
    status = 410


class PreconditionFailed(RequestError):
    problem = "precondition-failed"
    title = "It changed since it was read"
    status = 412
    default_remedy = "Read it again and repeat the change with the new ETag."


class ProtocolVersion(PreconditionFailed):
    problem = "protocol-version"
    title = "This version of the protocol is not spoken here"
    default_remedy = "Send `Tus-Resumable` with a version that the Tus-Version header names."


class ContentTooLarge(RequestError):
    problem = "content-too-large"
    title = "The content is larger than the limit"
    status = 413


class UnsupportedMediaType(RequestError):
    problem = "unsupported-media-type"
    title = "The body has a type or coding that is not taken here"
    status = 415


class RangeNotSatisfiable(RequestError):
    problem = "range-not-satisfiable"
    title = "The range lies outside the content"
    status = 416


class Unprocessable(RequestError):
    problem = "unprocessable"
    title = "The request is well-formed but cannot be followed"
    status = 422


class AddressNotAllowed(Unprocessable):
    problem = "address-not-allowed"
    title = "Nothing is sent to this address"
    default_remedy = "Give a public HTTPS address, or ask the operator to allow this one."


class TooManyRequests(RequestError):
    problem = "too-many-requests"
    title = "Too many requests"
    status = 429
    retryable = True
    default_remedy = "Wait as long as Retry-After says."

    def __init__(
        self,
        detail: str,
        *,
        remedy: str | None = None,
        errors: Sequence[WrongField] = (),
        wait_seconds: float | None = None,
    ) -> None:
        """`wait_seconds`: how long until there is room again, where that is known."""
        super().__init__(detail, remedy=remedy, errors=errors)
        self.wait_seconds = wait_seconds


class RateLimitExceeded(TooManyRequests):
    problem = "rate-limit-exceeded"
    title = "More requests than are allowed in this time"


class TooManyAttempts(TooManyRequests):
    problem = "too-many-attempts"
    title = "Too many attempts to sign in failed"


class RequestHeadTooLarge(RequestError):
    problem = "request-head-too-large"
    title = "The request's address and headers are too long"
    status = 431
    default_remedy = "Shorten the address or the headers; send what is long in the body."


# ── the document ────────────────────────────────────────────────────────────────────────────────


class DocumentError(MunimentError):
    problem = "unreadable-document"
    title = "The document cannot be read"
    status = 422
    default_remedy = "Open the file in its own program, save it again and upload the result."


class EmptyFile(DocumentError):
    problem = "empty-file"
    title = "The file is empty"
    default_remedy = "Upload the file again; check that it was written completely."


class UnknownFormat(DocumentError):
    problem = "unknown-format"
    title = "No engine reads this format"
    default_remedy = (
        "Convert the file to PDF, an office format, HTML, Markdown, plain text or an image."
    )


class WrongType(DocumentError):
    problem = "wrong-type"
    title = "The content is not what the name says"
    default_remedy = "Upload it under the extension and media type of its real content."


class DamagedDocument(DocumentError):
    problem = "damaged-document"
    title = "The file is damaged or cut short"
    default_remedy = "Upload an undamaged copy; compare the size and checksum with the original."


class EncryptedDocument(DocumentError):
    problem = "encrypted-document"
    title = "The document is encrypted"
    default_remedy = "Upload it with its `password`, or remove the password first."


class NoPages(DocumentError):
    problem = "no-pages"
    title = "The document has no pages"


class LimitExceeded(DocumentError):
    problem = "limit-exceeded"
    title = "The document exceeds a limit"
    default_remedy = (
        "Split the document, or ask the operator to raise the limit that the detail names."
    )


class MalwareFound(DocumentError):
    problem = "malware-found"
    title = "The virus scanner found malware"
    default_remedy = (
        "Remove the file at its source; an operator can release it if the finding is wrong."
    )


class ContentUnscannable(DocumentError):
    problem = "content-unscannable"
    title = "The virus scan did not clear the file"
    default_remedy = "An operator looks at it, and releases or rejects it."


class ContentWithheld(DocumentError):
    problem = "content-withheld"
    title = "A person rejected the file"
    default_remedy = "Ask the operator who rejected it."


# ── the engines ─────────────────────────────────────────────────────────────────────────────────


class EngineError(MunimentError):
    problem = "engine-failed"
    title = "An engine failed"
    status = 500
    retryable = True
    default_remedy = "It is retried; if it fails for good, retry the job or report the file's type."


class EngineCrashed(EngineError):
    problem = "engine-crashed"
    title = "An engine crashed on this file"


class EngineTimedOut(EngineError):
    problem = "engine-timed-out"
    title = "An engine ran past its time limit"


class EngineTimeUsedUp(EngineTimedOut):
    problem = "engine-time-used-up"
    title = "An engine used up the computing that one call may take"
    retryable = False
    default_remedy = "Split the document: the same content would use up as much again."


class EngineOutOfMemory(EngineError):
    problem = "engine-out-of-memory"
    title = "An engine ran past its memory limit"


# ── what Muniment depends on ────────────────────────────────────────────────────────────────────


class DependencyUnavailable(MunimentError):
    problem = "dependency-unavailable"
    title = "A service that Muniment needs does not answer"
    status = 503
    retryable = True
    default_remedy = "Try again shortly; `muniment doctor` says what is down and how to mend it."


class ScannerUnavailable(DependencyUnavailable):
    problem = "scanner-unavailable"
    title = "The virus scanner does not answer"


class ObjectStoreUnavailable(DependencyUnavailable):
    problem = "object-store-unavailable"
    title = "The object store does not answer"


class StorageFull(ObjectStoreUnavailable):
    problem = "storage-full"
    title = "There is no space left"
    status = 507
    default_remedy = "Free space on that disk, or enlarge it; what waits for it goes on by itself."


class SourceUnavailable(DependencyUnavailable):
    problem = "source-unavailable"
    title = "The place that files are imported from does not answer"


class KeyManagementUnavailable(DependencyUnavailable):
    problem = "key-management-unavailable"
    title = "The key management does not answer"


class DatabaseUnavailable(DependencyUnavailable):
    problem = "database-unavailable"
    title = "The database does not answer"


class DatabaseTooSlow(DatabaseUnavailable):
    problem = "database-too-slow"
    title = "The database took too long"


class DatabaseFull(DatabaseUnavailable):
    problem = "database-full"
    title = "The database has no space left"
    status = 507
    default_remedy = "Free space on PostgreSQL's disk, or enlarge it; what waits goes on by itself."


class OcrServiceUnavailable(DependencyUnavailable):
    problem = "ocr-service-unavailable"
    title = "The OCR service does not answer"


class OcrServiceBusy(OcrServiceUnavailable):
    problem = "ocr-service-busy"
    title = "The OCR service has more pages than it takes"
    retry_after_seconds = 5.0


class IssuerUnavailable(DependencyUnavailable):
    problem = "issuer-unavailable"
    title = "The issuer of access tokens does not answer"
    default_remedy = (
        "Try again shortly. The operator looks whether the API reaches MUNIMENT_OIDC__ISSUER;"
        " API keys and passwords work meanwhile."
    )


class OrchestratorUnavailable(DependencyUnavailable):
    problem = "orchestrator-unavailable"
    title = "Temporal does not answer"


# ── what is stored ──────────────────────────────────────────────────────────────────────────────


class IntegrityError(MunimentError):
    problem = "integrity"
    title = "Stored content fails its check"
    default_remedy = "Do not delete anything; restore the object from a backup and verify again."


class SealBroken(IntegrityError):
    problem = "seal-broken"
    title = "Sealed content does not authenticate"


class ObjectMissing(IntegrityError):
    problem = "object-missing"
    title = "An object is missing from the store"


class KeyDestroyed(IntegrityError):
    problem = "key-destroyed"
    title = "The content was erased"
    status = 410
    default_remedy = "Erased content cannot be brought back; its certificate says when and why."


class DigestMismatch(IntegrityError):
    problem = "digest-mismatch"
    title = "The bytes are not those that were announced"
    status = 400
    default_remedy = (
        "Send the content again; check the digest field's algorithm and encoding (RFC 9530)."
    )


class ChecksumMismatch(DigestMismatch):
    problem = "checksum-mismatch"
    status = 460
    default_remedy = "Ask for the offset, and send what follows it again."


class ConfigurationError(MunimentError):
    problem = "configuration"
    title = "The settings cannot work"
    default_remedy = "Correct the setting that the detail names; docs/settings.md lists them all."

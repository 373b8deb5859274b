"""The caller asked for something it cannot have."""

from collections.abc import Sequence

from muniment.errors.base import MunimentError, WrongField


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


class Preserved(Conflict):
    problem = "preserved"
    title = "It must be kept as it is"
    default_remedy = (
        "Ask whoever manages legal holds and retention. What must be erased by law goes to"
        " `POST /v1/erasures`, and waits there."
    )


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


class TokenBudgetExhausted(TooManyRequests):
    problem = "token-budget-exhausted"
    title = "The tenant's language models have no tokens left this month"
    default_remedy = (
        "Ask with `generate` set to `auto` or `extractive`, wait as long as Retry-After says, or have"
        " the operator raise the budget."
    )


class TooManyAttempts(TooManyRequests):
    problem = "too-many-attempts"
    title = "Too many attempts to sign in failed"


class RequestHeadTooLarge(RequestError):
    problem = "request-head-too-large"
    title = "The request's address and headers are too long"
    status = 431
    default_remedy = "Shorten the address or the headers; send what is long in the body."

"""The file itself is at fault, or the engine that worked on it."""

from muniment.errors.base import MunimentError


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


class FindingsHeld(DocumentError):
    problem = "findings-held"
    title = "What was found in the document waits for a person"
    default_remedy = "Someone with quarantine:decide looks at it, and releases or rejects it."


class FindingsRefused(DocumentError):
    problem = "findings-refused"
    title = "What was found in the document is refused"
    default_remedy = (
        "Upload it without what GET /v1/findings lists of it, or ask whoever made the policy."
    )


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

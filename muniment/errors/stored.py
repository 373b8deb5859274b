"""What was stored is not what is read."""

from muniment.errors.base import MunimentError


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


class CheckpointInvalid(IntegrityError):
    problem = "checkpoint-invalid"
    title = "An audit checkpoint does not prove anything"
    default_remedy = "Compare it with the copies of it; report it if none of them is whole."


class CertificateInvalid(IntegrityError):
    problem = "certificate-invalid"
    title = "A certificate of erasure does not prove anything"
    default_remedy = "Ask for it anew; report it if it is the same again."


class AuditTampered(IntegrityError):
    problem = "audit-tampered"
    title = "The audit trail is not what was sealed"
    default_remedy = (
        "Keep the database as it is, and find the place by `muniment audit verify` with a checkpoint of"
        " before."
    )

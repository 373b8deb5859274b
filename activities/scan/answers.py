"""What a scanner's answer says of the content."""

import re

from db.models import now
from db.queries.scans import Verdict, reason_of_alert
from muniment.contracts.scan import ScanReason, ScanState
from muniment.scanner import ScannerVersion, is_clean

_FOUND = re.compile(r"stream: (?P<signature>.+) FOUND")
_TOO_LONG = "INSTREAM size limit exceeded. ERROR"
_STREAM_LIMIT = "StreamMaxLength"
"""The setting of clamd.conf(5) that the answer above is about."""


def verdict_of_answer(answer: str, identity: ScannerVersion) -> Verdict:
    """Exactly `stream: OK` is clean; `… FOUND` infected, but what was not looked into unscannable."""
    if is_clean(answer):
        return verdict_of(ScanState.CLEAN, identity)
    if answer == _TOO_LONG:
        return unscannable(identity, ScanReason.TOO_LARGE, _STREAM_LIMIT)
    found = _FOUND.fullmatch(answer)
    if found is None:
        return unscannable(identity, ScanReason.SCANNER_ERROR)
    left_out = reason_of_alert(found["signature"])
    if left_out is not None:
        return unscannable(identity, left_out, found["signature"])
    return verdict_of(ScanState.INFECTED, identity, found["signature"], ScanReason.MALWARE)


def unscannable(
    identity: ScannerVersion, reason: ScanReason, signature: str | None = None
) -> Verdict:
    return verdict_of(ScanState.UNSCANNABLE, identity, signature, reason)


def verdict_of(
    state: ScanState,
    identity: ScannerVersion,
    signature: str | None = None,
    reason: ScanReason | None = None,
) -> Verdict:
    return Verdict(state, now(), identity.engine, identity.database, signature, reason)

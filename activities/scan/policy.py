"""When a scanner's answer can be believed, and what becomes of files that it does not clear."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from activities.inspect import file_type
from db.queries.file_states import WITHHELD
from db.queries.scans import Verdict
from db.queries.stages import Opening
from muniment.contracts.jobs import FileState
from muniment.contracts.scan import CONTENT_REASONS, ScanReason, ScanState

_OVER_A_LIMIT = (ScanReason.TOO_LARGE, ScanReason.LIMIT)
_ARCHIVES = (file_type.ZIP, file_type.TAR)
_NOT_TO_BE_FREED = (*WITHHELD, FileState.TRASHED)
"""An earlier scan or a person held these back (the trash remembers it): only a clean scan or a person
lets them go on."""


class Course(StrEnum):
    """What becomes of a file: it goes on, waits for a person, or is rejected at once."""

    ACCEPT = "accept"
    HOLD = "hold"
    REFUSE = "refuse"


@dataclass(frozen=True)
class ScanPolicy:
    """`unscannable` is about content that no scanner looks into all of; where it is the scanner that
    cannot be believed, files wait whatever it says, so that an outage neither refuses honest files nor
    lets others pass."""

    max_bytes: int
    max_database_age: timedelta
    required: bool
    unscannable: Course = Course.HOLD
    archives_by_members: bool = False

    def course(self, verdict: Verdict, opening: Opening) -> Course:
        """What becomes of a file with this verdict."""
        if verdict.state is ScanState.CLEAN:
            return Course.ACCEPT
        if verdict.state is ScanState.UNSCANNED:
            return Course.HOLD if self.required else Course.ACCEPT
        if verdict.state is ScanState.INFECTED or verdict.reason not in CONTENT_REASONS:
            return Course.HOLD
        wished = Course.ACCEPT if self._goes_by_members(verdict, opening) else self.unscannable
        if wished is Course.ACCEPT and opening.file_state in _NOT_TO_BE_FREED:
            return Course.HOLD
        return wished

    def _goes_by_members(self, verdict: Verdict, opening: Opening) -> bool:
        """Whether it is an archive whose members are scanned one by one instead.

        The name's word is enough: stage `inspect` fails what is called an archive and is none, an
        office document among it.
        """
        return (
            self.archives_by_members
            and verdict.reason in _OVER_A_LIMIT
            and file_type.by_name(opening.name) in _ARCHIVES
        )

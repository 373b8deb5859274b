"""What the operator says of content and its virus scan."""

from dataclasses import dataclass

from db.models import FileVersion
from muniment.contracts.scan import ScanState


@dataclass(frozen=True)
class ScanPolicy:
    """`awaited`: nothing is handed out before its scan has ended. `required`: nor what no scanner was
    there to look at, before a person let it pass."""

    awaited: bool = False
    required: bool = False

    def is_pending(self, version: FileVersion) -> bool:
        """Whether the version's content waits for the end of its scan."""
        return self.awaited and version.scan_state is None and version.published_at is None

    def is_suspect(self, version: FileVersion) -> bool:
        """Whether the scan's verdict withholds it. What a person or the operator's settings let pass
        is published."""
        if version.published_at is not None:
            return False
        if version.scan_state == ScanState.UNSCANNED:
            return self.required
        return version.scan_state in (ScanState.INFECTED, ScanState.UNSCANNABLE)

"""LibreOffice, which turns documents of Word and PowerPoint 97–2003 into their present formats."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from activities.programs.bubblewrap import WORK
from activities.programs.confined import ConfinedPrograms, Content, Program, ProgramLimits
from activities.sandbox.limits import MEBIBYTE
from muniment.errors import ConfigurationError, EngineError

logger = logging.getLogger(__name__)

AUTO, OFF = "auto", "off"
CONVERSIONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "application/msword": ("doc", "docx"),
        "application/vnd.ms-powerpoint": ("ppt", "pptx"),
    }
)
"""From which media type to which; by the endings of their names, which LibreOffice goes by."""
MEDIA_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    }
)
PROFILE = f"-env:UserInstallation=file://{WORK}/profile"
"""Its own place for it would lie in a folder that a home of ours does not have."""
LIMITS = ProgramLimits(wall_seconds=240, cpu_seconds=120, memory_bytes=4096 * MEBIBYTE)
"""A long document takes a few seconds; the program itself reserves 2 GB of addresses."""
_VERSION_LIMITS = ProgramLimits(wall_seconds=60, cpu_seconds=30, memory_bytes=4096 * MEBIBYTE)


class OfficeConverter:
    """Absent (`version` is None) until `start` found LibreOffice and a way to confine it.

    `soffice` is its path, `auto` for the one on PATH, or `off`.
    """

    def __init__(self, programs: ConfinedPrograms, soffice: str) -> None:
        self._programs = programs
        self._wanted = soffice
        self._program: Program | None = None
        self.version: str | None = None

    async def start(self) -> None:
        """Raises ConfigurationError where a path was set and what is there does not run confined."""
        found = _find(self._wanted)
        if found is None:
            return
        try:
            printed = await self._programs.run(found, ("--version",), limits=_VERSION_LIMITS)
        except (ConfigurationError, EngineError) as error:
            if self._wanted != AUTO:
                raise ConfigurationError(
                    f"MUNIMENT_PROGRAMS__SOFFICE cannot be used: {error.detail}",
                    remedy="Install `bubblewrap` and allow user namespaces, or set `off`.",
                ) from error
            logger.warning("LibreOffice is not used", extra={"reason": error.problem})
            return
        self._program, self.version = found, " ".join(printed.decode("utf-8", "replace").split())

    def takes(self, media_type: str) -> bool:
        """Whether documents of this type can be converted here."""
        return self._program is not None and media_type in CONVERSIONS

    async def converted(self, content: Content, media_type: str) -> tuple[bytes, str]:
        """The document in its present format, and that one's media type. Raises what
        `ConfinedPrograms.run` does."""
        if self._program is None:
            raise ConfigurationError("There is no LibreOffice here.")
        old, new = CONVERSIONS[media_type]
        arguments = (
            *("--headless", "--norestore", "--nolockcheck", PROFILE, "--convert-to", new),
            *("--outdir", "converted", f"document.{old}"),
        )
        converted = await self._programs.run(
            self._program,
            arguments,
            inputs={f"document.{old}": content},
            result=f"converted/document.{new}",
            limits=LIMITS,
        )
        return converted, MEDIA_TYPES[new]


def _find(wanted: str) -> Program | None:
    if wanted == OFF:
        return None
    found = shutil.which("soffice") if wanted == AUTO else wanted
    if found is None:
        return None
    executable = Path(found).resolve()
    # The link on PATH leads to a folder that holds all of LibreOffice.
    outside = () if executable.is_relative_to("/usr") else (executable.parents[1],)
    return Program("LibreOffice", executable, outside)

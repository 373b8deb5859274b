"""LibreOffice, which turns documents of Word and PowerPoint 97–2003 into their present formats."""

import logging
import shutil
from collections.abc import Mapping, Sequence
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
_VERSION_ATTEMPTS = 3
"""A machine whose services all start at once may be slower than that time-out for a while."""
_EXECUTABLES = frozenset({"soffice", "soffice.bin"})
_SYSTEM = Path("/usr")


class OfficeConverter:
    """Absent (`version` is None) until `start` found LibreOffice and a way to confine it.

    `soffice` is its path, `auto` for the one on PATH, or `off`. It reads the whole folder that it
    is installed in: one that holds any of the `private` folders is not taken for such.
    """

    def __init__(
        self, programs: ConfinedPrograms, soffice: str, private: Sequence[Path] = ()
    ) -> None:
        self._programs = programs
        self._wanted = soffice
        self._private = private
        self._program: Program | None = None
        self.version: str | None = None

    async def start(self) -> None:
        """Raises ConfigurationError where a path was set and what is there does not run confined."""
        try:
            found = _find(self._wanted, self._private)
            if found is None:
                return
            self.version = await self._version_of(found)
        except (ConfigurationError, EngineError) as error:
            if self._wanted != AUTO:
                raise ConfigurationError(
                    f"MUNIMENT_PROGRAMS__SOFFICE cannot be used: {error.detail}",
                    remedy=error.remedy
                    if isinstance(error, ConfigurationError)
                    else "Install `bubblewrap` and allow user namespaces, or set `off`.",
                ) from error
            logger.warning("LibreOffice is not used", extra={"reason": error.detail})
            return
        self._program = found
        logger.info("LibreOffice is used", extra={"version": self.version})

    async def _version_of(self, program: Program) -> str:
        """What it says of itself, at the last of a few attempts."""
        for attempt in range(1, _VERSION_ATTEMPTS):
            try:
                return await self._printed_version(program)
            except EngineError as error:
                logger.warning(
                    "LibreOffice did not tell its version; it is asked again",
                    extra={"attempt": attempt, "reason": error.detail},
                )
        return await self._printed_version(program)

    async def _printed_version(self, program: Program) -> str:
        printed = await self._programs.run(program, ("--version",), limits=_VERSION_LIMITS)
        return " ".join(printed.decode("utf-8", "replace").split())

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


def _find(wanted: str, private: Sequence[Path]) -> Program | None:
    """None where there is none or none is wanted; ConfigurationError where more than LibreOffice
    would have to be shown to it."""
    if wanted == OFF:
        return None
    found = shutil.which("soffice") if wanted == AUTO else wanted
    if found is None:
        return None
    # The link on PATH leads to a folder that holds all of LibreOffice.
    executable = Path(found).resolve()
    if executable.is_relative_to(_SYSTEM):
        return Program("LibreOffice", executable)
    return Program("LibreOffice", executable, (_installation_of(executable, private),))


def _installation_of(executable: Path, private: Sequence[Path]) -> Path:
    """The folder that a program outside the system's own is installed in. All of it is shown to a
    program that reads documents of strangers: it must be LibreOffice's alone."""
    folder = executable.parent.parent
    is_installed = executable.parent.name == "program" and executable.name in _EXECUTABLES
    is_deep = folder.parent != Path(folder.anchor)
    if not is_installed or not is_deep or _holds_any(folder, private):
        raise ConfigurationError(
            f"{executable} does not lie in an installation folder of LibreOffice's own.",
            remedy="Install LibreOffice by the system's packages, or name its `program/soffice` in a"
            " folder of its own, such as /opt/libreoffice/program/soffice; or set `off`.",
        )
    return folder


def _holds_any(folder: Path, private: Sequence[Path]) -> bool:
    return any(each.resolve().is_relative_to(folder) for each in private)

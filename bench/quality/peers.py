"""The same documents read by others: `python -m bench.quality.peers NAME FILE` prints their text.

Each reads in a process of its own, so that one that crashes or hangs costs a file, not the run.
"""

import asyncio
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pypdfium2

PEER_SECONDS = 120


def peers_here() -> dict[str, frozenset[str] | None]:
    """The systems that can run on this machine, each with the formats it reads; None: any."""
    here: dict[str, frozenset[str] | None] = {"kreuzberg": None, "pdfium": frozenset({"pdf"})}
    if shutil.which("pdftotext"):
        here["pdftotext"] = frozenset({"pdf"})
    return here


async def read_as(peer: str, path: Path) -> str | None:
    """The document's text or Markdown; None when the peer fails or takes too long."""
    command = (
        ["pdftotext", str(path), "-"]
        if peer == "pdftotext"
        else [sys.executable, "-m", __name__, peer, str(path)]
    )
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(PEER_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    return output.decode("utf-8", "replace") if process.returncode == 0 else None


def _kreuzberg(path: Path) -> str:
    from kreuzberg import ExtractionConfig, extract_file_sync

    return str(extract_file_sync(path, config=ExtractionConfig(output_format="markdown")).content)


def _pdfium(path: Path) -> str:
    with pypdfium2.PdfDocument(path) as document:
        return "\n\n".join(page.get_textpage().get_text_range() for page in document)


_READERS: dict[str, Callable[[Path], str]] = {"kreuzberg": _kreuzberg, "pdfium": _pdfium}


def main() -> None:
    name, path = sys.argv[1:]
    sys.stdout.buffer.write(_READERS[name](Path(path)).encode("utf-8", "replace"))


if __name__ == "__main__":
    main()

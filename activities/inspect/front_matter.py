"""What YAML before a Markdown text says about it."""

from kreuzberg import ConcurrencyConfig, ExtractionConfig, extract_bytes_sync

from activities.inspect.metadata import Metadata, describe
from activities.read.text_encoding import decode_text
from activities.sandbox.content import Content

_HEAD_BYTES = 16 * 1024
_FENCE = "---"


def markdown_metadata(content: Content) -> Metadata:
    """Nothing where no front matter is closed within the first 16 KiB; a heading is no title."""
    lines = decode_text(content.head(_HEAD_BYTES)).splitlines()
    if lines[:1] != [_FENCE] or _FENCE not in lines[1:]:
        return Metadata()
    matter = "\n".join(lines[: lines.index(_FENCE, 1) + 1])
    found = extract_bytes_sync(
        matter.encode(),
        "text/markdown",
        ExtractionConfig(use_cache=False, concurrency=ConcurrencyConfig(max_threads=1)),
    ).metadata
    author = found.get("created_by")
    return describe(
        found.get("title"),
        [author] if author else [],
        found.get("created_at"),
        found.get("language"),
    )

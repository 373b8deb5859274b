"""Passwords of documents, which come in files: a command line is seen by every user's `ps`."""

from pathlib import Path

from muniment.errors import InvalidRequest


def read_password(file: Path | None) -> str | None:
    """The file's first line; None without a file. Raises InvalidRequest when it holds none."""
    if file is None:
        return None
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(
            f"the password file {file} cannot be read", remedy="Name a readable text file."
        ) from error
    if not lines or not lines[0]:
        raise InvalidRequest(
            f"the password file {file} begins with an empty line",
            remedy="Write the password as its first line.",
        )
    return lines[0]

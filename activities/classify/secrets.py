"""Secrets: detect-secrets over every line, with the whole secret marked."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import regex
from detect_secrets.core.scan import scan_line
from detect_secrets.settings import Settings, transient_settings

from activities.classify.recognisers import Match

_PLUGINS = (
    "ArtifactoryDetector",
    "AWSKeyDetector",
    "AzureStorageKeyDetector",
    "BasicAuthDetector",
    "CloudantDetector",
    "DiscordBotTokenDetector",
    "GitHubTokenDetector",
    "GitLabTokenDetector",
    "IbmCloudIamDetector",
    "IbmCosHmacDetector",
    "JwtTokenDetector",
    "KeywordDetector",
    "MailchimpDetector",
    "NpmDetector",
    "OpenAIDetector",
    "PrivateKeyDetector",
    "PypiTokenDetector",
    "SendGridDetector",
    "SlackDetector",
    "SoftlayerDetector",
    "SquareOAuthDetector",
    "StripeDetector",
    "TelegramBotTokenDetector",
    "TwilioKeyDetector",
)
"""All but the entropy detectors, which take any identifier or hash in a document for a secret, and
the public IP detector, whose findings are personal data already."""

_FILTERS = tuple(
    f"detect_secrets.filters.heuristic.{name}"
    for name in (
        "is_sequential_string",
        "is_potential_uuid",
        "is_likely_id_string",
        "is_templated_secret",
        "is_prefixed_with_dollar_sign",
        "is_indirect_reference",
        "is_not_alphanumeric_string",
    )
)
"""Without the allow-list filter: a document could else exempt its secrets by a comment."""

_WORTH_SCANNING = regex.compile(
    # A word of 16 characters or more that is no plain word of a language …
    r"(?<!\S)(?![(\[\"']*[A-Z]?[a-z'’-]+[\])\"'.,;:?!]*(?!\S))\S{16}"
    # … or a name that KeywordDetector knows, or a URL with a password in it.
    r"|(?i:pass|pwd|pword|secret|contrase|key|token|cred|auth)|://"
)
"""detect-secrets takes half a millisecond for a line; most lines of prose cannot hold a secret."""
_TOKENS = (
    # Of kinds that detect-secrets has no detector for, by what their issuers begin them with.
    ("GOOGLE_API_KEY", regex.compile(r"(?<![\w-])AIza[\w-]{35}(?![\w-])")),
    ("GITHUB_TOKEN", regex.compile(r"(?<!\w)github_pat_\w{50,100}(?!\w)")),
    ("HUGGING_FACE_TOKEN", regex.compile(r"(?<!\w)hf_[A-Za-z0-9]{34}(?!\w)")),
    ("ANTHROPIC_API_KEY", regex.compile(r"(?<![\w-])sk-ant-[\w-]{32,200}(?![\w-])")),
)
_NAMED_SECRET = regex.compile(
    r"(?<![^\W_])(?:password|passwort|passwd|passphrase|pwd|kennwort|contrase(?:ñ|n)a"
    r"|mot de passe)\s{0,3}[:=]\s{0,3}[\"']?([^\s\"'<>]{8,128})",
    regex.IGNORECASE,
)
"""Where no quotes are around a password, detect-secrets believes certain kinds of files only."""
_TOKEN_END = regex.compile(r"[\s\"'`<>,;]|$")
_KEY_START = "-----"
_KEY_END = regex.compile(r"-----END [A-Z ]+-----")
_LONGEST_KEY = 8192

SECRET_SCORE = 0.9
NAMED_SECRET_SCORE = 0.7


def secret_detection() -> AbstractContextManager[Settings]:
    """The context in which find_secrets works: detect-secrets keeps its settings in the process."""
    return transient_settings(
        {
            "plugins_used": [{"name": name} for name in _PLUGINS],
            "filters_used": [{"path": path} for path in _FILTERS],
        }
    )


def find_secrets(text: str) -> Iterator[tuple[str, Match]]:
    """Kind and place of each secret, such as ("AWS_ACCESS_KEY", …)."""
    start = 0
    for line in text.split("\n"):
        if _WORTH_SCANNING.search(line):
            yield from _in_line(text, line, start)
            yield from _by_prefix_or_name(line, start)
        start += len(line) + 1


def _by_prefix_or_name(line: str, line_start: int) -> Iterator[tuple[str, Match]]:
    for entity, expression in _TOKENS:
        for found in expression.finditer(line):
            start, end = line_start + found.start(), line_start + found.end()
            yield entity, Match(start, end, SECRET_SCORE)
    for found in _NAMED_SECRET.finditer(line):
        # "Password: required" tells none.
        if any(mark.isdigit() for mark in found[1]) and any(mark.isalpha() for mark in found[1]):
            start, end = line_start + found.start(1), line_start + found.end(1)
            yield "SECRET_KEYWORD", Match(start, end, NAMED_SECRET_SCORE)


def _in_line(text: str, line: str, line_start: int) -> Iterator[tuple[str, Match]]:
    for secret in scan_line(line):
        value = secret.secret_value
        if not value or (position := line.find(value)) < 0:
            continue
        start = line_start + position
        end = _whole_secret_end(text, start, start + len(value), secret.type)
        if text.startswith(_KEY_START, start - len(_KEY_START)):
            start -= len(_KEY_START)
        entity = regex.sub(r"\W+", "_", secret.type).strip("_").upper()
        yield entity, Match(start, end, SECRET_SCORE)


def _whole_secret_end(text: str, start: int, end: int, kind: str) -> int:
    """detect-secrets reports the head of a token or of a key; the rest is as secret."""
    if kind == "Private Key":
        found = _KEY_END.search(text, end, min(len(text), start + _LONGEST_KEY))
        return found.end() if found else min(len(text), start + _LONGEST_KEY)
    if kind == "Basic Auth Credentials":
        return end
    found = _TOKEN_END.search(text, end)
    return found.start() if found else end

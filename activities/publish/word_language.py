"""By which of PostgreSQL's text search configurations a document's words are stemmed."""

from db.queries.postings import DEFAULT_LANGUAGE

WITHOUT_STEMMER = "simple"
"""Words as they stand, in small letters; where a script puts no space between words, pairs of letters."""

_NAMES = (
    "ar:arabic hy:armenian eu:basque ca:catalan da:danish nl:dutch en:english et:estonian fi:finnish"
    " fr:french de:german el:greek hi:hindi hu:hungarian id:indonesian ga:irish it:italian lt:lithuanian"
    " ne:nepali nb:norwegian nn:norwegian no:norwegian pt:portuguese ro:romanian ru:russian sr:serbian"
    " es:spanish sv:swedish ta:tamil tr:turkish yi:yiddish"
)
_CONFIGURATIONS = dict(pair.split(":") for pair in _NAMES.split())
"""By IETF tags of languages (RFC 5646)."""


def word_language(tag: str | None) -> str:
    """The configuration for a document in that language. Where it is not known, it is taken for English,
    which leaves most words of other languages as they are."""
    if not tag:
        return DEFAULT_LANGUAGE
    return _CONFIGURATIONS.get(tag.partition("-")[0].lower(), WITHOUT_STEMMER)

"""Synonyms as clients see them."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from db.queries.synonyms import MAX_RULES

MAX_WORDS_OF_RULE = 20
MAX_WORDS = 2_000
MAX_CHARACTERS = 100


def _written(word: str) -> str:
    """PostgreSQL's text cannot hold NUL; other control characters are part of no word."""
    if any(unicodedata.category(each) == "Cc" for each in word):
        raise ValueError("a word has no control characters")
    if not any(each.isalnum() for each in word):
        raise ValueError("a word has a letter or a digit")
    return " ".join(word.split())


Word = Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS), AfterValidator(_written)]


class SynonymRule(BaseModel):
    """Words, each one or several side by side. Without `also` each of them finds the others, too; with it
    each finds those in `also`, which do not find it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"words": ["lease", "tenancy agreement"], "also": []}},
    )

    words: Annotated[tuple[Word, ...], Field(min_length=1, max_length=MAX_WORDS_OF_RULE)]
    also: Annotated[tuple[Word, ...], Field(max_length=MAX_WORDS_OF_RULE)] = ()

    @model_validator(mode="after")
    def _says_something(self) -> "SynonymRule":
        if not self.also and len(set(self.words)) < 2:
            raise ValueError("a rule has two words, or says in `also` what its one finds")
        return self


class SynonymList(BaseModel):
    """All of the tenant's."""

    model_config = ConfigDict(extra="forbid")

    rules: Annotated[tuple[SynonymRule, ...], Field(max_length=MAX_RULES)]

    @model_validator(mode="after")
    def _has_bounds(self) -> "SynonymList":
        if sum(len(rule.words) + len(rule.also) for rule in self.rules) > MAX_WORDS:
            raise ValueError(f"a list has {MAX_WORDS} words at most")
        return self

"""Each language that a document may be in has a tokenizer that PostgreSQL knows."""

import psycopg
import pytest

from activities.publish.word_language import _CONFIGURATIONS, WITHOUT_STEMMER, word_language


@pytest.mark.parametrize(
    ("tag", "configuration"),
    [
        ("de", "german"),
        ("pt-BR", "portuguese"),
        ("EN-us", "english"),
        ("zh", WITHOUT_STEMMER),
        ("x'; DROP TABLE posting", WITHOUT_STEMMER),
        (None, "english"),
        ("", "english"),
    ],
)
def test_a_language_has_its_stemmer_or_none(tag: str | None, configuration: str) -> None:
    assert word_language(tag) == configuration


def test_postgresql_has_all_of_them(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        known = {
            name for (name,) in connection.execute("SELECT cfgname FROM pg_ts_config").fetchall()
        }
    assert {*_CONFIGURATIONS.values(), WITHOUT_STEMMER} <= known

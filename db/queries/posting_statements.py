"""The statements that read postings for a search: of what a query asks for, by its places in it.

A term stands in rows of `posting` and, as long as they wait for maintenance, in those of publications:
`unmerged` is what the query asks for of these, in rows of the same form."""

# Of what waits the shares are opened in which the words stand that are asked for; beginnings stand in any,
# and are looked up by halves in each row, whose terms are in order: from the last one that is not greater on.
# OFFSET 0 has each array opened once.
# The share is known before: row-level security keeps an index from being searched by what a function gives.
_ASKED = """
    asked AS MATERIALIZED (
        SELECT * FROM unnest(CAST(:languages AS text[]), CAST(:terms AS text[]), CAST(:places AS int[]),
                             CAST(:own AS bool[]))
            AS asked(language, term, place, is_own)
    ),
    beginning AS MATERIALIZED (
        SELECT * FROM unnest(CAST(:prefix_languages AS text[]), CAST(:prefixes AS text[]),
                             CAST(:prefix_places AS int[])) AS beginning(language, prefix, place)
    ),
    word AS MATERIALIZED (
        SELECT language, term, posting_share(term) AS share FROM asked GROUP BY language, term
    ),
    unmerged AS MATERIALIZED (
        SELECT word.language, word.term, publication.first_number,
               octet_length(its.entries) / 7 AS passages, its.entries
        FROM word
        JOIN unmerged_posting AS publication ON publication.tenant_id = (SELECT current_tenant())
            AND publication.language = word.language AND publication.share = word.share
        CROSS JOIN LATERAL array_position(publication.terms, word.term) AS found(place)
        CROSS JOIN LATERAL (SELECT publication.entries[found.place] AS entries OFFSET 0) AS its
        WHERE found.place IS NOT NULL
        UNION ALL
        SELECT publication.language, each.term, publication.first_number,
               octet_length(each.entries) / 7, each.entries
        FROM beginning
        JOIN unmerged_posting AS publication ON publication.tenant_id = (SELECT current_tenant())
            AND publication.language = beginning.language
        CROSS JOIN LATERAL (
            SELECT width_bucket(beginning.prefix COLLATE "C", publication.terms) AS low,
                   width_bucket((beginning.prefix || :last_letter) COLLATE "C", publication.terms) AS high
            OFFSET 0
        ) AS part
        CROSS JOIN LATERAL unnest(
            publication.terms[part.low:part.high], publication.entries[part.low:part.high]
        ) AS each(term, entries)
        WHERE part.high >= 1 AND starts_with(each.term, beginning.prefix)
            AND (publication.language, each.term) NOT IN (SELECT language, term FROM word)
            AND NOT EXISTS (
                SELECT FROM beginning AS earlier
                WHERE earlier.language = beginning.language AND earlier.place < beginning.place
                    AND starts_with(each.term, earlier.prefix))
    )"""

# Rows of the one term that comes to too much by itself are read from the newest on. Synonyms are read where
# there is room for them beside all words; of a word that stands nowhere they are what it stands for.
POSTINGS = f"""
    WITH {_ASKED},
    begun AS MATERIALIZED (
        SELECT beginning.language, beginning.place, counted.*
        FROM beginning
        CROSS JOIN LATERAL (
            SELECT standing.term, sum(standing.passages) AS passages,
                   row_number() OVER (ORDER BY sum(standing.passages) DESC, standing.term) AS rank
            FROM (
                SELECT posting.term, posting.passages FROM posting
                WHERE posting.tenant_id = (SELECT current_tenant())
                    AND posting.language = beginning.language
                    AND posting.term >= beginning.prefix
                    AND posting.term < beginning.prefix || :last_letter
                UNION ALL
                SELECT unmerged.term, unmerged.passages FROM unmerged
                WHERE unmerged.language = beginning.language
                    AND starts_with(unmerged.term, beginning.prefix)
            ) AS standing
            GROUP BY standing.term
            ORDER BY rank LIMIT CAST(:max_begun AS bigint) + 1
        ) AS counted
    ),
    found AS MATERIALIZED (
        SELECT language, place, term, bool_or(is_own) AS is_own, max(passages) AS passages FROM (
            SELECT language, place, term, is_own, sum(passages) AS passages FROM (
                SELECT asked.language, asked.place, asked.term, asked.is_own, posting.passages
                FROM asked
                JOIN posting ON posting.tenant_id = (SELECT current_tenant())
                    AND posting.language = asked.language AND posting.term = asked.term
                UNION ALL
                SELECT asked.language, asked.place, asked.term, asked.is_own, unmerged.passages
                FROM asked JOIN unmerged
                    ON unmerged.language = asked.language AND unmerged.term = asked.term
            ) AS standing
            GROUP BY language, place, term, is_own
            UNION ALL
            SELECT language, place, term, true, passages FROM begun WHERE rank <= :max_begun
        ) AS each
        GROUP BY language, place, term
    ),
    ranked AS (
        SELECT *, row_number() OVER rarest AS rank, sum(passages) OVER rarest AS entries
        FROM (
            SELECT language, place, min(term) AS term,
                   coalesce(sum(passages) FILTER (WHERE is_own), sum(passages)) AS passages,
                   CASE WHEN bool_or(is_own) THEN sum(passages) FILTER (WHERE NOT is_own) END AS of_synonyms
            FROM found GROUP BY language, place
        ) AS counted
        JOIN unnest(CAST(:corpora AS text[]), CAST(:of_corpora AS bigint[]))
            AS corpus(language, of_language) USING (language)
        WINDOW rarest AS (
            ORDER BY passages / greatest(of_language, 1), passages, language, term ROWS UNBOUNDED PRECEDING)
    ),
    chosen_word AS (
        SELECT *, max(entries) OVER () + sum(coalesce(of_synonyms, 0)) OVER (ORDER BY rank)
                   <= :max_entries AS has_room
        FROM ranked
        WHERE rank <= :max_terms AND (rank = 1 OR entries <= :max_entries)
    ),
    chosen AS MATERIALIZED (
        SELECT found.language, found.place, found.term, found.passages, word.passages AS together
        FROM chosen_word AS word JOIN found ON found.place = word.place
        WHERE found.is_own OR word.of_synonyms IS NULL OR word.has_room
    ),
    standing AS NOT MATERIALIZED (
        SELECT chosen.place, chosen.term, chosen.passages, chosen.together, posting.first_number,
               posting.passages AS of_row, posting.entries
        FROM chosen
        JOIN posting ON posting.tenant_id = (SELECT current_tenant())
            AND posting.language = chosen.language AND posting.term = chosen.term
        UNION ALL
        SELECT chosen.place, chosen.term, chosen.passages, chosen.together, unmerged.first_number,
               unmerged.passages, unmerged.entries
        FROM chosen
        JOIN unmerged ON unmerged.language = chosen.language AND unmerged.term = chosen.term
    ),
    beyond AS MATERIALIZED (
        SELECT max(each.first_number) AS number FROM (
            SELECT first_number, sum(of_row) AS passages,
                   sum(sum(of_row)) OVER (ORDER BY first_number DESC) AS newer
            FROM standing
            WHERE together > :max_entries
            GROUP BY first_number
        ) AS each
        WHERE each.newer - each.passages >= :max_entries
    )
    SELECT place, term, first_number, entries, CAST(passages AS bigint),
           (SELECT number FROM beyond) IS NOT NULL
               OR EXISTS (SELECT FROM begun WHERE rank > :max_begun)
               OR (SELECT count(*) FROM found) > (SELECT count(*) FROM chosen)
    FROM standing
    WHERE first_number > coalesce((SELECT number FROM beyond), -1)
"""  # noqa: S608 - of the constants above

# Looked up for each prefix: OFFSET 0 keeps them from being joined otherwise.
ROWS = f"""
    WITH {_ASKED}
    SELECT asked.place, posting.term, posting.first_number, posting.entries
    FROM asked
    JOIN posting ON posting.tenant_id = (SELECT current_tenant())
        AND posting.language = asked.language AND posting.term = asked.term
    UNION ALL
    SELECT asked.place, unmerged.term, unmerged.first_number, unmerged.entries
    FROM asked JOIN unmerged ON unmerged.language = asked.language AND unmerged.term = asked.term
    UNION ALL
    SELECT beginning.place, begun.term, begun.first_number, begun.entries
    FROM beginning
    CROSS JOIN LATERAL (
        SELECT posting.term, posting.first_number, posting.entries FROM posting
        WHERE posting.tenant_id = (SELECT current_tenant()) AND posting.language = beginning.language
            AND posting.term >= beginning.prefix AND posting.term < beginning.prefix || :last_letter
        OFFSET 0
    ) AS begun
    UNION ALL
    SELECT beginning.place, unmerged.term, unmerged.first_number, unmerged.entries
    FROM beginning JOIN unmerged ON unmerged.language = beginning.language
        AND starts_with(unmerged.term, beginning.prefix)
    ORDER BY place, term, first_number DESC
"""  # noqa: S608 - of the constants above

COUNTS = f"""
    WITH {_ASKED}
    SELECT language, term, CAST(sum(passages) AS bigint) FROM (
        SELECT asked.language, asked.term, posting.passages
        FROM asked
        JOIN posting ON posting.tenant_id = (SELECT current_tenant())
            AND posting.language = asked.language AND posting.term = asked.term
        UNION ALL
        SELECT asked.language, asked.term, unmerged.passages
        FROM asked JOIN unmerged ON unmerged.language = asked.language AND unmerged.term = asked.term
    ) AS standing
    GROUP BY language, term
"""  # noqa: S608 - of the constants above

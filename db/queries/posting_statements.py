"""The statements that read postings for a search: of what a query asks for, by its places in it.

A term stands in rows of `posting` and, as long as they wait for maintenance, in those of publications:
`unmerged` is what the query asks for of these, in rows of the same form."""

# Of what waits the shares are opened in which the words stand that are asked for.
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
    )"""

# What begins so stands in any share and is looked up by halves in each row, whose terms are in order: from
# the last one that is not greater, or the next where that is another. The arrays are unnested as rows are
# read, where a function in FROM would put them aside first.
_BEGUN_UNMERGED = """
    SELECT each.term, publication.first_number, each.entries
    FROM unmerged_posting AS publication
    CROSS JOIN LATERAL (
        SELECT width_bucket(beginning.prefix COLLATE "C", publication.terms) AS last,
               width_bucket((beginning.prefix || :last_letter) COLLATE "C", publication.terms) AS high
        OFFSET 0
    ) AS bound
    CROSS JOIN LATERAL (
        SELECT CASE WHEN publication.terms[bound.last] = beginning.prefix THEN bound.last
                    ELSE bound.last + 1 END AS low
        OFFSET 0
    ) AS part
    CROSS JOIN LATERAL (
        SELECT unnest(publication.terms[part.low:bound.high]) AS term,
               unnest(publication.entries[part.low:bound.high]) AS entries
        OFFSET 0
    ) AS each
    WHERE publication.tenant_id = (SELECT current_tenant())
        AND publication.language = beginning.language AND part.low <= bound.high
"""

# What a beginning stands for is counted without its entries, which are read of the terms that are kept.
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
                SELECT waiting.term, octet_length(waiting.entries) / 7 FROM ({_BEGUN_UNMERGED}) AS waiting
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
    of_share AS MATERIALIZED (
        SELECT language, share, array_agg(term) AS terms, array_agg(place) AS places,
               array_agg(passages) AS passages, array_agg(together) AS together
        FROM (
            SELECT chosen.*, posting_share(term) AS share FROM chosen
            WHERE (language, term) NOT IN (SELECT language, term FROM word)
        ) AS each
        GROUP BY language, share
    ),
    begun_unmerged AS MATERIALIZED (
        SELECT wanted.place, wanted.term, wanted.passages, wanted.together, publication.first_number,
               octet_length(its.entries) / 7 AS of_row, its.entries
        FROM of_share
        JOIN unmerged_posting AS publication ON publication.tenant_id = (SELECT current_tenant())
            AND publication.language = of_share.language AND publication.share = of_share.share
        CROSS JOIN LATERAL unnest(of_share.places, of_share.terms, of_share.passages, of_share.together)
            AS wanted(place, term, passages, together)
        CROSS JOIN LATERAL (
            SELECT width_bucket(wanted.term COLLATE "C", publication.terms) AS place OFFSET 0
        ) AS found
        CROSS JOIN LATERAL (SELECT publication.entries[found.place] AS entries OFFSET 0) AS its
        WHERE publication.terms[found.place] = wanted.term
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
        UNION ALL
        SELECT * FROM begun_unmerged
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
    SELECT beginning.place, waiting.term, waiting.first_number, waiting.entries
    FROM beginning CROSS JOIN LATERAL ({_BEGUN_UNMERGED}) AS waiting
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

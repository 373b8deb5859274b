"""The statements that read postings for a search: of what a query asks for, by its places in it."""

# Rows of the one term that comes to too much by itself are read from the newest on. Synonyms are read where
# there is room for them beside all words; of a word that stands nowhere they are what it stands for.
POSTINGS = """
    WITH asked AS MATERIALIZED (
        SELECT * FROM unnest(CAST(:languages AS text[]), CAST(:terms AS text[]), CAST(:places AS int[]),
                             CAST(:own AS bool[]))
            AS asked(language, term, place, is_own)
    ),
    begun AS MATERIALIZED (
        SELECT asked.language, asked.place, counted.*
        FROM unnest(CAST(:prefix_languages AS text[]), CAST(:prefixes AS text[]),
                    CAST(:prefix_places AS int[])) AS asked(language, prefix, place)
        CROSS JOIN LATERAL (
            SELECT posting.term, sum(posting.passages) AS passages,
                   row_number() OVER (ORDER BY sum(posting.passages) DESC, posting.term) AS rank
            FROM posting
            WHERE posting.tenant_id = (SELECT current_tenant()) AND posting.language = asked.language
                AND posting.term >= asked.prefix AND posting.term < asked.prefix || :last_letter
            GROUP BY posting.term
            ORDER BY rank LIMIT CAST(:max_begun AS bigint) + 1
        ) AS counted
    ),
    found AS MATERIALIZED (
        SELECT language, place, term, bool_or(is_own) AS is_own, max(passages) AS passages FROM (
            SELECT asked.language, asked.place, asked.term, asked.is_own,
                   sum(posting.passages) AS passages
            FROM asked
            JOIN posting ON posting.tenant_id = (SELECT current_tenant())
                AND posting.language = asked.language AND posting.term = asked.term
            GROUP BY asked.language, asked.place, asked.term, asked.is_own
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
    beyond AS MATERIALIZED (
        SELECT max(each.first_number) AS number FROM (
            SELECT posting.first_number, sum(posting.passages) AS passages,
                   sum(sum(posting.passages)) OVER (ORDER BY posting.first_number DESC) AS newer
            FROM chosen
            JOIN posting ON posting.tenant_id = (SELECT current_tenant())
                AND posting.language = chosen.language AND posting.term = chosen.term
            WHERE chosen.together > :max_entries
            GROUP BY posting.first_number
        ) AS each
        WHERE each.newer - each.passages >= :max_entries
    )
    SELECT chosen.place, chosen.term, posting.first_number, posting.entries,
           CAST(chosen.passages AS bigint),
           (SELECT number FROM beyond) IS NOT NULL
               OR EXISTS (SELECT FROM begun WHERE rank > :max_begun)
               OR (SELECT count(*) FROM found) > (SELECT count(*) FROM chosen)
    FROM chosen
    JOIN posting ON posting.tenant_id = (SELECT current_tenant())
        AND posting.language = chosen.language AND posting.term = chosen.term
    WHERE posting.first_number > coalesce((SELECT number FROM beyond), -1)
"""

# Looked up for each prefix: OFFSET 0 keeps them from being joined otherwise.
ROWS = """
    SELECT asked.place, posting.term, posting.first_number, posting.entries
    FROM unnest(CAST(:languages AS text[]), CAST(:terms AS text[]), CAST(:places AS int[]))
        AS asked(language, term, place)
    JOIN posting ON posting.tenant_id = (SELECT current_tenant())
        AND posting.language = asked.language AND posting.term = asked.term
    UNION ALL
    SELECT asked.place, begun.term, begun.first_number, begun.entries
    FROM unnest(CAST(:prefix_languages AS text[]), CAST(:prefixes AS text[]),
                CAST(:prefix_places AS int[])) AS asked(language, prefix, place)
    CROSS JOIN LATERAL (
        SELECT posting.term, posting.first_number, posting.entries FROM posting
        WHERE posting.tenant_id = (SELECT current_tenant()) AND posting.language = asked.language
            AND posting.term >= asked.prefix AND posting.term < asked.prefix || :last_letter
        OFFSET 0
    ) AS begun
    ORDER BY place, term, first_number DESC
"""

"""Text modes: collections whose documents' words lie in the database only sealed."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE collection
            ADD COLUMN text_mode VARCHAR NOT NULL DEFAULT 'full',
            ADD CONSTRAINT collection_text_mode CHECK (text_mode IN ('full', 'encrypted_text'));

        CREATE FUNCTION refuse_other_text_mode() RETURNS trigger
        LANGUAGE plpgsql SET search_path = public, pg_temp AS
        $$
        BEGIN
            IF NOT coalesce(
                (SELECT text_mode FROM collection WHERE id = OLD.collection_id)
                    = (SELECT text_mode FROM collection WHERE id = NEW.collection_id), false)
            THEN
                RAISE EXCEPTION 'a file does not move to a collection of another text mode'
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END
        $$;
        CREATE TRIGGER file_keeps_text_mode BEFORE UPDATE OF collection_id ON file
            FOR EACH ROW WHEN (OLD.collection_id <> NEW.collection_id)
            EXECUTE FUNCTION refuse_other_text_mode();

        ALTER TABLE file_version ADD COLUMN text_key_id UUID;

        ALTER TABLE chunk
            ADD COLUMN sealed_text BYTEA,
            ADD COLUMN text_key_id UUID,
            ADD CONSTRAINT chunk_text_or_sealed CHECK (
                text_key_id IS NULL AND sealed_text IS NULL
                OR text_key_id IS NOT NULL AND sealed_text IS NOT NULL
                AND text = '' AND headings = '{}');

        ALTER TABLE annotation
            ADD COLUMN sealed_words BYTEA,
            ADD COLUMN text_key_id UUID,
            ADD CONSTRAINT annotation_words_or_sealed CHECK (
                text_key_id IS NULL AND sealed_words IS NULL
                OR text_key_id IS NOT NULL AND sealed_words IS NOT NULL
                AND quote = '' AND prefix = '' AND suffix = '');

        ALTER TABLE annotation_anchor
            ADD COLUMN sealed_words BYTEA,
            ADD COLUMN text_key_id UUID,
            ADD CONSTRAINT annotation_anchor_words_or_sealed CHECK (
                text_key_id IS NULL AND sealed_words IS NULL
                OR text_key_id IS NOT NULL AND sealed_words IS NOT NULL AND quote = '');
        """
    )


def downgrade() -> None:
    # The code of before would show empty passages, and publish new ones in the clear. The owner may see
    # no row otherwise.
    op.execute(
        """
        ALTER TABLE collection NO FORCE ROW LEVEL SECURITY;
        DO $$ BEGIN
            IF EXISTS (SELECT 1 FROM collection WHERE text_mode <> 'full') THEN
                RAISE EXCEPTION 'there are collections with encrypted_text'
                    USING HINT = 'Erase their files, and set them to full: docs/encrypted-text.md.';
            END IF;
        END $$;
        ALTER TABLE collection FORCE ROW LEVEL SECURITY;
        """
    )
    op.execute(
        """
        DROP TRIGGER file_keeps_text_mode ON file;
        DROP FUNCTION refuse_other_text_mode();
        ALTER TABLE annotation_anchor DROP COLUMN sealed_words, DROP COLUMN text_key_id;
        ALTER TABLE annotation DROP COLUMN sealed_words, DROP COLUMN text_key_id;
        ALTER TABLE chunk DROP COLUMN sealed_text, DROP COLUMN text_key_id;
        ALTER TABLE file_version DROP COLUMN text_key_id;
        ALTER TABLE collection DROP COLUMN text_mode;
        """
    )

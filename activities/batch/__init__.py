"""What an `IngestBatch` asks of the database."""

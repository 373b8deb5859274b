"""`muniment ingest`: files in, progress out, for one file or thousands."""

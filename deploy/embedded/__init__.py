"""The embedded stack: `python -m deploy.embedded` supervises PostgreSQL, Temporal, the API and the
workers of one home."""

"""Index versions: search by meaning with another model."""

"""API keys: shown once, stored hashed."""

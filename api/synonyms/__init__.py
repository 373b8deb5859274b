"""Words that mean the same, for searches of a tenant."""

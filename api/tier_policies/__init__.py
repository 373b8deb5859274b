"""What of a collection, and of a tenant, goes to the cold tier by itself."""

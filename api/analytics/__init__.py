"""What is asked of a tenant's documents."""

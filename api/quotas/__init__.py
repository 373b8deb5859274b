"""What a tenant keeps, and may keep."""

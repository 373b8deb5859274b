"""Tenants, for those who operate the service."""

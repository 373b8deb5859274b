"""Groups of principals."""

"""`/v1/batches`: many files through one window."""

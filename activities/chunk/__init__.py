"""Stage `chunk`: passages by structure, within the embedder's window."""

"""In which tier of the object store a file's content lies."""

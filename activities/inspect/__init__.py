"""Stage `inspect`: the true type of a document, its pages, and how each will be read."""

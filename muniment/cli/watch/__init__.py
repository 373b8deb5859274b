"""`muniment watch`: what appears in a folder, or changes there, is taken in once."""

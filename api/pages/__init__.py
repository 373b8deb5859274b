"""What was read of a file: pages, document, Markdown, text, chunks."""

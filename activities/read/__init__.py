"""Stage `read`: the text of pages, from their text layer, by OCR, or from a structured format."""

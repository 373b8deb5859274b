"""Views of a version: pictures of its pages, its document as Markdown, marked copies."""

"""Files and their versions: upload, list, change, download, delete."""

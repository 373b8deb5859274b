"""Members: the files inside archives and the attachments of messages, each made a file."""

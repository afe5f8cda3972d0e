"""What callers send: read out of path, query, headers and body, and checked before a backend sees it."""

"""Following a topic live: what comes is shown to whoever looks, and nobody who writes notices."""

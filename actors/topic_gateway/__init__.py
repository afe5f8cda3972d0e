"""Topics over HTTP: produce and consume with app credentials, on a listener of its own."""

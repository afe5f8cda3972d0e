"""Between what callers see and what backends see: names, places, constants, and what only the gateway knows."""

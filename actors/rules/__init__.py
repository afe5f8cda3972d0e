"""Which record goes to which topic: pure, inside the session."""

"""One connection: from its first byte, through log-in and conversation, to its end."""

"""Which sessions there are, with and without a connection, and what is known of their devices."""

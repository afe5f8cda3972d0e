"""Who is known, what their reports look like, and what they may do."""

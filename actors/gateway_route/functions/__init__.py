"""How functions see the calls of routes, and how what they answer is read."""

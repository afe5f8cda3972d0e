"""What answers behind a route, one module a kind."""

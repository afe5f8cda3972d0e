"""Who calls a route, and whether they may."""

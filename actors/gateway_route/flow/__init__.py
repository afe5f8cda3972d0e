"""How often a route may be called: throttles, which forget within their period, and quotas, which outlive a restart."""

"""The resources of this instance: what is known of them, how they change, and what their secrets are."""

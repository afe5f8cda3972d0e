"""Who gets a message, and how it leaves: subscriptions, queues, windows, retained messages."""

"""What persistent sessions promise, kept: changes are folded into commits, queues are read back."""

"""Looking into a topic without consuming it: queries, and replays of what they find."""

"""What all planes that applications call over HTTP share: who calls, the id of a call, and the shape of a refusal."""

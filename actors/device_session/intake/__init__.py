"""What a client publishes: taken in, made records and messages, answered once they are safe."""

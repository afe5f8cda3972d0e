"""MQTT 3.1 and 3.1.1 on bytes: no sockets, no clock, no tasks."""

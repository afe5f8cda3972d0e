"""HTTP/1.1 without I/O (RFC 9110, RFC 9112): requests out of bytes, answers into bytes."""

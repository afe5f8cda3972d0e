"""What the operating system lets this process have."""

import resource


def raise_file_limit() -> None:
    """Take as many file descriptors as may be had: each connection and each segment needs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

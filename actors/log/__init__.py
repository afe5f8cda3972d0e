"""The on-disk log of one partition: segments, indexes, recovery, retention.

Everything in here blocks, and is called in worker threads; nothing in here knows of actors.
"""

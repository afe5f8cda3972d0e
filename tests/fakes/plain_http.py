"""HTTP without TLS, of which clients need not be told whom to trust."""

import ssl

# Whoever makes a client of httpx has it read the authorities that the world trusts, which takes 0.1 s of CPU time; for
# `verify`, this one trusts nobody.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

"""Why a group lags, what helps, and the harmless part of it done by itself."""

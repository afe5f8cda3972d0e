"""What a topic does once a group lags too far: throttle, reject, divert or drop its oldest records."""

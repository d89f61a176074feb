"""Steps for any long-slit spectrograph."""

"""Our side of LiveKit's server (the SFU): its address and key, calls to it, its rooms compared."""

"""How workers end on SIGTERM, counted over many runs: ours, and livekit-agents' on the same server."""

"""The bridge: we are a worker of a LiveKit server, and make its jobs ours (A20, A22)."""

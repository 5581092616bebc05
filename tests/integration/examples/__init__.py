"""With LiveKit's own server beside us."""

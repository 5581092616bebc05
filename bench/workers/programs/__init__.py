"""The same agent twice, on our SDK and on livekit-agents; each runs as a program of its own."""

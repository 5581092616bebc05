"""Agent programs as a user of livekit-agents writes them; the tests run them as processes."""

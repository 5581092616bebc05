"""Conformance: what unmodified LiveKit clients see when they are pointed at Callboard.

Every test here runs the real server as a process, and against it the published packages: workers
of livekit-agents and @livekit/agents as processes, calls by livekit-api and livekit-server-sdk.
What those clients cannot be made to send is in the tests that speak the raw protocol.
"""

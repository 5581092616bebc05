"""Callboard beside what else a user could take: stock LiveKit, NATS JetStream, taskiq on Redis.

The same small jobs go through each, in turns, in one run: `make compare`. What is not on this machine is
left out, and the report says so.
"""

"""Outgoing webhooks (A21): who configured a URL is told when an agent's job starts and ends.

The event log is the queue. Each URL has a durable position in it, so what is to be told survives
any crash, takes no memory, and is bounded by retention; what was told just before a crash may be
told again, under the same id. LiveKit's name for this is URLNotifier; bodies and signatures are its
own, so that its receivers take them as they are.
"""

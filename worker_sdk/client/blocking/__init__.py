"""The API client for threads: generated from the one for event loops, but for `concurrency`."""

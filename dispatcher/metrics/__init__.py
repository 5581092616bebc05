"""What Callboard tells of itself to machines: Prometheus's metrics, and signals for who scales workers.

Counters live with their owners and are plain numbers (`core.tally`, `server.sessions`), or are kept
here for who has no place for them (`counting_witness`, `call_counts`); a scrape reads them all. So a
job costs a few additions, and everything else is paid by who asks. `prometheus_client` is not used: its
`inc` takes a lock (0.5 µs and more, some ten of them a job), and what we need of it is little; in the
tests its parsers are what ours is held against.

What there is per agent is looked at by a walk over the workers (`census`), in slices that let others
have the event loop; label sets are bounded (`shown_agents`). Nothing here changes the server.
"""

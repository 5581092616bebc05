"""A seeded simulator of the whole dispatcher, and the independent checkers of its invariants.

The real engine and the real group commit run against the store in memory, on a simulated clock,
among simulated workers and callers, over a network that delays, stalls and breaks, with crashes
of the server in between. One random number generator decides everything, so a seed is a schedule
and each failure replays: `python -m tests.simulation --seed N --trace`.

`scenario` draws what happens, `simulator` puts it together, `timeline`, `network`, `server`,
`callers`, `processes` and its kinds of workers play it, `facts` is what an outside observer knows,
`checkers` judge, `planted_bugs` prove the checkers.
"""

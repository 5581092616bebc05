"""Faults of every kind against real processes, at random from a seed, and judges who read the rest.

`python -m tests.faults --minutes 10 --rate 100 --seed N` is the whole thing; `test_faults.py` is a
short run of it. `plan` draws the faults (pure), `fleet` has the processes, `network` the sockets
between them, `inflicting` does the harm, `callers` make the load, `judging` says what was kept.
`storm` and `handoff` measure one fault each: how fast everything is back.
"""

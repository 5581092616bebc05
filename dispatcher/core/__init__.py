"""The decisions of the dispatcher: pure, synchronous and deterministic.

Nothing here is async, reads a clock, draws an id or a global random number, logs, or does I/O.
Time (nanoseconds), ids and randomness come in as arguments; what is to be done goes out as
effects. `engine.Engine` is the door.
"""

"""A seeded simulator of the whole dispatcher, and the independent checkers of its invariants.

The real engine and the real group commit run against the store in memory (now and then that of
SQLite), on a simulated clock, among simulated workers, callers, operators and an SFU, over a network
that delays, stalls and breaks, with everything failing that can. One random number generator decides
it all, so a seed is a schedule and each failure replays: `python -m tests.simulation --seed N --trace`.

`scenario` and `sfu_plan` draw what happens, `simulator` puts it together; `timeline`, `network`,
`store`, `server`, `callers`, `rule_callers`, `sfu`, `processes` and its kinds of workers play it;
`facts` is what an outside observer knows; `checkers`, `promise_checker`, `time_checkers`,
`rule_checker` (with `rule_oracle`) and `history_watch` judge; `coverage` says what was reached; `planted_bugs` and `planted_parts` prove the
checkers; `batches` plays many.

`room_replay` is another simulation, of rooms alone: fifty thousand events in disorder.
"""

"""Many jobs through a pool of job processes, of which many come to a bad end.

    python -m tests.worker_pool --jobs 1000

A server, its API and a worker with `ProcessExecutor`, as in production, in one process; the jobs'
processes beside it. `run` does it and counts, `test_worker_pool` is the smaller one for every day.
"""

"""Real processes killed at random, and a judge who reads what is left.

`python -m tests.crash --dispatches 5000 --server-kills 30 --worker-kills 30` is the fault run
(`tests.faults`) with kills alone; `test_crash.py` is a short run of it. The judge does not ask the
server: it reads the event log in the data folder by SQL, and the records of the workers themselves.
"""

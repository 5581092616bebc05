"""How callboard bears large numbers: 10,000 connected workers, 1,000,000 queued jobs.

`python -m bench.scale`. Each large number is measured beside a small one, in turns, in one run.
"""

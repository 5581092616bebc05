"""`callboard demo`: the main job on this machine, with kills on the way, and an honest verdict.

`command` is the command line's side, `scenario` the plot, `cast` the processes, `worker` what each
worker process runs, `scene` what is known at an instant, `screen` how that looks, `verdict` the
judge, who believes nobody: not the server, not the workers, only both together.

Part of the command line, and so allowed to compose `dispatcher` and `worker_sdk`.
"""

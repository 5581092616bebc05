"""`callboard loadtest`: simulated workers and callers in processes of their own, measured.

    profile, profile_files   what a run is, from YAML and flags
    run                      one run from the first look at the server to its results
    processes, channel       the processes, and how they are spoken to
    crowd                    such a process: workers (`simulated_worker`) or callers (`callers`)
    histogram, measurements, job_book     what is measured, second by second, and what became of each job
    figures, limits, notes   the numbers by name, the bounds on them, and what may spoil them
    results                  where each figure is computed, and the exit code
    report_text, report_html, screen      how they look

A job is found again by what stands in its dispatch's metadata, which the worker is given with it: the
run, the job's number and when the call was due. So every latency is measured at one end, by the one
clock of the machine (CLOCK_MONOTONIC is the same for all its processes). It speaks LiveKit's protocol,
and our extensions where the server lists them, so LiveKit's own server is measured as well.
"""

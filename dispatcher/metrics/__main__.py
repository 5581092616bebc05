"""`python -m dispatcher.metrics` writes docs/metrics.md to its output."""

import sys

from dispatcher.metrics.page import metrics_page

sys.stdout.write(metrics_page())

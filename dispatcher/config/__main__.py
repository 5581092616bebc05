"""Writes docs/configuration.md: `python -m dispatcher.config > docs/configuration.md`."""

import sys

from dispatcher.config.page import configuration_page

if __name__ == "__main__":
    sys.stdout.write(configuration_page())

"""`python -m dispatcher.cli`: the command line without its script."""

from dispatcher.cli import main

if __name__ == "__main__":
    main()

"""The load: one program for each contender, with the same loops, clock and counting (`shapes.py`).

Each is a process of its own, told what to do by lines of JSON on its standard input.
"""

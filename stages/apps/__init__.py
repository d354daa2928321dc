"""Command lines, one file each: argparse and wiring, at most 80 lines. Nothing imports them.

In: arguments. Out: what the rooms return, printed or written.

A command keeps its name and options.
"""

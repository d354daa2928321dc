"""Checks that may refuse a setting and never alter a result.

In: the content of `params.yaml`. Out: one line for each mistake. No stage depends on this code, so that a change of
wording makes no result stale: nothing here may compute a value that training, evaluation or a data file uses.
"""

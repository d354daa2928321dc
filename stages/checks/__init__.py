"""Validation of settings: code that may reject a setting and never changes a result.

In: the content of `params.yaml`. Out: one line for each mistake. No stage depends on this code, so that rewording
a message makes no result stale. Nothing here may compute a value that training, evaluation or a data file uses.
"""

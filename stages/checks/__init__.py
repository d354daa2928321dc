"""Validation of settings: code that may reject a setting and never changes a result.

In: the content of `params.yaml`. Out: one line for each mistake. No stage depends on this code, so that rewording
a message makes no result stale. Nothing here may compute a value that training, evaluation or a data file uses.

`params` checks the whole file with the others: `schema` words the mistakes in types and ranges, `consistency` finds
settings that do not fit each other, `studies`, `distillations` checks the search spaces.
"""

"""Code that all rooms share: errors, atomic file writes, seeds, class names, records, lookup by name.

In: none. Out: small functions. It imports no other room, and a change re-runs every stage.
"""

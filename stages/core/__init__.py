"""Code that all packages share: errors, atomic file writes, seeds, class names, records, lookup by name.

Input: none. Output: small functions. It imports no other package of this project, and a change re-runs every stage.
"""

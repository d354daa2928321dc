"""`params.yaml` as frozen types: reading the file, its sections, the types of options, the search space of a study.

In: the file. Out: `schema.Params`, in which each run is merged with its recipe. Every stage uses it.

A change re-runs every stage.
"""

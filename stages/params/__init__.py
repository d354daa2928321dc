"""`params.yaml` as frozen types: reading the file, its sections, the types of options, the search space of a study.

Input: the file. Output: `schema.Params`, in which each run is merged with its recipe. Every stage uses it.
"""

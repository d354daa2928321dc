"""`params.yaml` as frozen types: reading the file, the sections, the types of options, the space of a study.

In: the file. Out: `schema.Params`, runs resolved with their recipes. Every stage reads it.
"""

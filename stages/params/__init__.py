"""`params.yaml` as frozen types, in which each run is merged with its recipe.

In: the file. Out: `schema.Params`. Every stage uses it.

`load` reads the file, `schema` holds its sections, `options` the types of options in the signatures of readers,
features and models, `space` the search space of a study.

A change re-runs every stage.
"""

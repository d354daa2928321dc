"""PNG pictures of a run and of a hyperparameter search, whose headers name the run, the corpus and the protocol.

`gallery` writes all files of a run: `run` draws its metrics and curves, `inside` attention maps and basis functions.
`study` draws a search. `canvas` holds what they share.
"""

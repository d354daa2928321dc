"""PNG pictures of a run and of a hyperparameter search, whose headers name the run, the corpus and the protocol."""

"""Models of the things that corpora record, from which synthetic corpora are drawn."""

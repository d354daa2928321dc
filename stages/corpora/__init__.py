"""Readers of corpora, one file each, with the archives they come in (`archive/`) and decoders (`decoding/`).

In: the path of an archive. Out: `core.records.Record`, lazily and in a fixed order. File names and label codes of a
corpus appear only here. All input is untrusted.

A change here re-runs `download` and what follows.
"""

"""Prepared datasets: the HDF5 store, splits and their protocols, batches, augmentation.

In: features and metadata of samples. Out: batches for training, and the parts of a split. Only `store` names HDF5 keys;
every random choice is derived from a seed.

`prepare`: `decoding` (in parallel), `cluster` (on Dask's workers), `levels` (mixed units), `statistics` (means, SDs),
`store`. `split`: `protocols`, `splits` (the file and its audit), `groups` (names that are one person),
`near_duplicates` (of images).
`train`: `batches`, `augmentation/`, `novelty` (distance of a sample to the training data).

A change re-runs `prepare` and `train`.
"""

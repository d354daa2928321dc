"""Prepared datasets: the HDF5 store, splits and their protocols, batches, augmentation.

In: features and metadata of samples. Out: batches for training, and the parts of a split. Only `store` names HDF5 keys;
every random choice is derived from a seed.

A change re-runs `prepare` and `train`.
"""

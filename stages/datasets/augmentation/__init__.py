"""Random augmentation of training samples, one module with `build` per kind of data.

Parameters are sampled for each sample of a batch, on the device of the batch.
"""

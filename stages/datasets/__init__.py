"""Prepared arrays, their split into parts, batches and augmentation."""

"""Network architectures, one self-contained file each.

In: `build(input_shape, n_classes, **options)`. Out: an `nn.Module` that returns logits. The signature of `build` is the
schema of `model` in params.yaml.

A change retrains the runs that use the file.
"""

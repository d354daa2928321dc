"""One architecture per file, readable alone: `build(input_shape, n_classes, **options)`, `forward(x, length)`."""

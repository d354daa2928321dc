"""Random changes of training samples, one kind of data per file with `build`; drawn per sample, on the device."""

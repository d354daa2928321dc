"""For a person or a device: what stands on top of the pipeline."""

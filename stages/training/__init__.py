"""Updates weights and writes checkpoints; `model_folder` (no Lightning in it) gives trained models back."""

"""Synthetic speech: a source-filter voice with contours of pitch, energy and tempo."""

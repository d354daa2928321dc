"""Synthetic speech: a source-filter voice with contours of pitch, energy and tempo.

`corpus` writes the files of RAVDESS; `voice` synthesises a clip from a `speaker`, a `delivery` (the emotion) and a
`sentence` through a `source_filter`.
"""

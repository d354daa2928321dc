"""Decoders of untrusted bytes into signals. Each checks sizes before it decompresses; readers of one kind share one.

Images: `images`, `depth` (more than 8 bits), `crops` (faces in larger images). Audio: `audio`, `mp3` (its true
length). EEG: `recordings` (all formats), `edf` (headers), `interrupted` (EDF with gaps), `cnt` (wrong headers),
`beside` (recordings in several files). Arrays: `npz`, `pickles`.
"""

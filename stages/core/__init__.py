"""Code that all rooms share.

In: none. Out: small functions. It imports no other room, and a change re-runs every stage.

Command lines: `command` (arguments and help), `errors` (messages of one line), `outputs` (checks of output paths).
Files: `files` (atomic writes, JSON, CSV, checksums). Data: `records` (the record of a sample), `labels` (class names),
`electrodes` (names of electrodes), `speech_signal` (conditions clips for the features of speech). Networks: `weights`
(published files), `ge2e` (the speaker encoder, which a feature and two models use), `tta` (views of an image). Runs:
`lookup` (imports a reader, feature or model by its name), `seeding` (random streams), `calibration` (temperatures of
probabilities), `malloc` (settings of the memory allocator).
"""

"""A trained run at work: from a folder, a zip or ONNX, and a user's file, to probabilities.

In: untrusted runs and files. Out: `ServedRun` and predictions. It prepares a sample exactly as training did.

A run: `run_files`, `run_checks`, `int8_weights`, `onnx_model`, `served_run`, and `pretrained/`, the runs that ship. A
file: `inputs` finds and decodes it, `image_quality` notes defects, `boxes` is the type of a detected face,
`predictions` joins both and writes the output. The keys of model.json are fixed.
"""

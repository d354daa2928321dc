"""A trained run at work: from a folder, a zip or ONNX, and a user's file, to probabilities.

In: untrusted runs and files. Out: `ServedRun` and predictions. It prepares a sample exactly as training did.

The keys of model.json are fixed.
"""

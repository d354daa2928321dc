"""A trained run for other programs and people: ONNX, quantization, packed zip, the weights that ship.

In: a trained run. Out: one file (or folder), compared with PyTorch before it is written.

Names and metadata of exported files are fixed: other programs read them.
"""

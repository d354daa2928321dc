"""A trained run for other programs and people: ONNX, quantization, packed zip, the weights that ship.

In: a trained run. Out: one file (or folder), compared with PyTorch before it is written.

ONNX: `graph` (of a recogniser), `quantize` (fp16, int8), `onnx_file` (all three, compared), `table` (size, time,
accuracy). Others: `pack` (one zip), `ship` (the folder of the run that ships, with its model card).

Names and metadata of exported files are fixed: other programs read them.
"""

"""Loads untrusted pickles of {whole number: NumPy array}; nothing that a pickle names is imported or run.

`find_class` allows the names that pickled arrays contain. Each stands for a class that only records how it was called,
because NumPy's own functions trust shape, type and bytes. The arrays are then built from these records, and checked.
"""

import io
import math
import pickle
import pickletools

import numpy as np

from stages.core.errors import printable, refuse, shorten
from stages.corpora.decoding.npz import MAX_BYTES

ALLOWED = "a dict of whole numbers to NumPy arrays of numbers"
TYPES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
MAX_OPCODES = 20_000  # the file of a SEED-V subject has 2,000


class _Call:
    """A recorded call. Without its `__setstate__`, the opcode BUILD could set attributes of the class."""

    def __init__(self, *arguments: object) -> None:
        self.arguments, self.state = arguments, None

    def __setstate__(self, state: object) -> None:
        self.state = state


_Dtype, _Bytes, _Reconstruct, _FromBuffer = (type(name, (_Call,), {}) for name in ("Dtype", "Bytes", "Array", "Buffer"))
_IMPORTS = {
    ("numpy", "ndarray"): _Call,  # an argument of _reconstruct
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Bytes,  # protocols 0 to 2 write bytes as text to encode
    ("__builtin__", "bytes"): _Bytes,  # and empty bytes as bytes()
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Reconstruct for core in ("core", "_core")},  # NumPy 1, NumPy 2
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FromBuffer for core in ("core", "_core")},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[_Call]:
        if (module, name) not in _IMPORTS:
            raise ValueError(f"import of {module[:60]}.{name[:60]}")
        return _IMPORTS[module, name]


def load_arrays(data: bytes, where: str) -> dict[int, np.ndarray]:
    """Return the pickled arrays, of protocols 0 to 5 and any NumPy; lists of numbers become float64 arrays.

    Raises `UserError` for anything else, and above `MAX_BYTES` of pickle or of arrays. The arrays may share memory.
    """
    try:
        _check_opcodes(data)
        loaded = _Unpickler(io.BytesIO(data), encoding="latin-1").load()  # Python 2 wrote bytes as text
        if type(loaded) is not dict or not all(type(key) is int and key.bit_length() < 64 for key in loaded):
            raise ValueError("something else than a dict with whole numbers as keys")
        arrays, n_bytes = {}, 0
        for key, value in loaded.items():
            arrays[key] = _array(value)
            n_bytes += arrays[key].nbytes
            if n_bytes > MAX_BYTES:
                raise ValueError(f"arrays of more than {MAX_BYTES} bytes")
    except Exception as error:  # damaged bytes make the pickle module raise errors of any class
        received = printable(f"{type(error).__name__}: {str(error)[:150]}")
        refuse("not a readable pickle of arrays", where=where, allowed=ALLOWED, received=received)
    return arrays


def _check_opcodes(data: bytes) -> None:
    """Raise `ValueError` for a pickle that is too big or too costly, without running it."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"{len(data)} bytes; allowed: at most {MAX_BYTES}")
    is_tuple: dict[int, bool] = {}  # {index in the memo: whether the object is a tuple}
    top_is_tuple = False
    for number, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        name = opcode.name
        # EXT… would import without `find_class`; the others would hide which object is on top. NumPy uses none of them.
        if number == MAX_OPCODES or name in ("EXT1", "EXT2", "EXT4", "DUP", "POP", "POP_MARK"):
            raise ValueError(f"opcode {name} at number {number}; allowed: {MAX_OPCODES} opcodes")
        if "GET" in name and is_tuple.get(argument):
            # The hash of sixty nested pairs, each of the previous one twice, would take 2^60 steps.
            raise ValueError("a tuple that is used twice")
        if "PUT" in name or name == "MEMOIZE":
            index = len(is_tuple) if argument is None else argument
            if index > MAX_OPCODES:  # the memo takes memory up to its highest index
                raise ValueError(f"index {index} of the memo")
            is_tuple[index] = top_is_tuple
        elif name not in ("FRAME", "PROTO"):
            top_is_tuple = name.startswith("TUPLE")


def _array(value: object) -> np.ndarray:
    match value:
        case list() | tuple() if all(type(item) in (int, float) for item in value):
            return np.array(value, dtype=np.float64)
        case _Reconstruct(state=(_, tuple(shape), _Dtype() as dtype, is_fortran, content)):
            order = "F" if is_fortran else "C"
        case _FromBuffer(arguments=(content, _Dtype() as dtype, tuple(shape), "C" | "F" as order, *_)):
            pass
        case _:
            raise ValueError(f"a value of type {type(value).__name__}")
    if isinstance(content, _Bytes):
        content = content.arguments[0] if content.arguments else b""
    content = content.encode("latin-1") if isinstance(content, str) else content
    code = dtype.arguments[0]
    if code not in TYPES:
        raise ValueError(f"an array of type {shorten(code, 30)}")
    dtype = np.dtype(code).newbyteorder(dtype.state[1] if dtype.state else "=")
    is_shape = all(type(side) is int and 0 <= side <= MAX_BYTES for side in shape)
    if not is_shape or math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"an array whose shape does not fit its {len(content)} bytes")
    return np.ndarray(shape, dtype, content, order=order)

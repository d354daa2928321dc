"""Reads pickled dicts of arrays from outside: no name in a pickle is ever imported, and nothing of its choice runs.

The few NumPy names that stand in a pickled array are answered by stand-ins, which rebuild the array from its shape,
type and bytes and check that these fit; NumPy's own functions trust them. Every other name is refused.
"""

import io
import math
import pickle
import pickletools
from collections.abc import Callable
from typing import NoReturn

import numpy as np

from stages.core.errors import printable, refuse

ALLOWED = "a dict of whole numbers to NumPy arrays of numbers"
TYPES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
MAX_STEPS = 20_000  # a subject of SEED-V takes 2,000; each step of a hostile pickle can cost time and memory
MAX_SIDES, MAX_SIDE = 4, 1 << 40  # of an array; one without values may be long

# What loads() would do before, or without, asking for a name.
_REFUSED = {
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), "a code of the extension registry"),
    **dict.fromkeys(("PERSID", "BINPERSID"), "a persistent id"),
    **dict.fromkeys(("NEXT_BUFFER", "READONLY_BUFFER"), "a buffer kept elsewhere"),
    **dict.fromkeys(("EMPTY_SET", "ADDITEMS", "FROZENSET"), "a set"),
    **dict.fromkeys(("DUP", "POP", "POP_MARK"), "a step that no dict of arrays takes"),
}
_PUTS, _GETS = ("PUT", "BINPUT", "LONG_BINPUT"), ("GET", "BINGET", "LONG_BINGET")
_TUPLES = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")
_LEAVE_TOP = (*_PUTS, "MEMOIZE", "FRAME", "PROTO")  # of the stack


def load_arrays(data: bytes, where: str) -> dict[int, np.ndarray]:
    """The pickled dict of arrays, of protocol 0 to 5 and any NumPy; lists of numbers become arrays.

    Raises `UserError` for anything else, naming what was to be imported. The arrays may share memory with `data`.
    """
    try:
        _check_steps(data)
        loaded = _Restricted(data).load()
        return {_whole(key): _numbers(value) for key, value in _items(loaded)}
    except _Refused as error:
        refuse("pickled content that is not read", where=where, allowed=ALLOWED, received=printable(str(error)))
    except Exception as error:  # the pickle module raises whatever broken bytes lead to
        received = f"{type(error).__name__}: {printable(str(error))}"
        refuse("a pickle that is damaged or cut short", where=where, allowed=ALLOWED, received=received)


class _Refused(Exception):
    """What the pickle asks for and does not get."""


class _Array:
    """Stands for an array until its bytes come."""

    __slots__ = ("values",)

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, is_fortran, content = state
        self.values = _array(content, kind, shape, "F" if is_fortran else "C")


class _Type:
    """Stands for the type of an array's values."""

    __slots__ = ("numpy",)

    def __init__(self, code: str, *_: object) -> None:
        if code not in TYPES:
            raise _Refused(f"an array of type {str(code)[:20]!r}")
        self.numpy = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        self.numpy = self.numpy.newbyteorder(state[1])


class _Named:
    """Stands for a function or class of NumPy: can be called, but neither instantiated nor given another state."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable) -> None:
        self._call = call

    def __call__(self, *arguments: object) -> object:
        return self._call(*arguments)

    def __setstate__(self, _: object) -> NoReturn:
        raise _Refused("another state for a name of NumPy")


class _Restricted(pickle.Unpickler):
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin-1")  # Python 2 pickled bytes as text
        self._encodable = 2 * len(data)
        self._known = {
            ("numpy", "ndarray"): _never,
            ("numpy", "dtype"): _Type,
            ("numpy.core.multiarray", "_reconstruct"): _to_be_filled,  # NumPy 1
            ("numpy._core.multiarray", "_reconstruct"): _to_be_filled,
            ("numpy.core.numeric", "_frombuffer"): _from_buffer,
            ("numpy._core.numeric", "_frombuffer"): _from_buffer,
            ("_codecs", "encode"): self._encode,
            ("__builtin__", "bytes"): lambda: b"",  # how protocol 2 writes none
        }

    def find_class(self, module: str, name: str) -> _Named:
        if (module, name) not in self._known:
            raise _Refused(f"{module}.{name}")
        return _Named(self._known[module, name])

    def _encode(self, text: str, encoding: str) -> bytes:
        """How protocol 2 writes bytes. Each once: a pickle can ask a thousand times for a copy of its longest text."""
        self._encodable -= len(text)
        if encoding != "latin1" or self._encodable < 0:
            raise _Refused(f"text of encoding {encoding[:20]!r}, or too much of it")
        return text.encode("latin-1")


def _to_be_filled(*_: object) -> _Array:
    return _Array()


def _never(*_: object) -> NoReturn:
    raise _Refused("an array without its bytes")


def _from_buffer(content: bytes, kind: _Type, shape: tuple, order: str, *_: object) -> _Array:
    """How protocol 5 writes arrays that lie whole in memory."""
    array = _Array()
    array.values = _array(content, kind, shape, order)
    return array


def _array(content: bytes | str, kind: _Type, shape: tuple, order: str) -> np.ndarray:
    content = content.encode("latin-1") if isinstance(content, str) else content
    if not isinstance(kind, _Type) or not isinstance(content, bytes | bytearray) or order not in ("C", "F"):
        raise _Refused("an array of another making")
    sides = len(shape) <= MAX_SIDES and all(type(side) is int and 0 <= side < MAX_SIDE for side in shape)
    if not sides or len(content) != math.prod(shape) * kind.numpy.itemsize:
        raise _Refused(f"an array of shape {str(shape)[:40]} in {len(content)} bytes")
    return np.ndarray(shape, kind.numpy, content, order=order)


def _check_steps(data: bytes) -> None:
    """Look through the pickle without doing what it says.

    No tuple may be used twice: of sixty that each hold the one before twice, the hash would take for ever.
    """
    tops: dict[int, bool] = {}  # of all that is memorised, whether it is a tuple
    on_top = False
    for number, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if number == MAX_STEPS:
            raise _Refused(f"more than {MAX_STEPS} steps")
        if opcode.name in _REFUSED:
            raise _Refused(_REFUSED[opcode.name])
        if opcode.name in _PUTS and argument > MAX_STEPS:  # room is made for as many
            raise _Refused(f"memory for {argument} objects")
        if opcode.name in _GETS and tops.get(argument):
            raise _Refused("a tuple used twice")
        if opcode.name in _PUTS or opcode.name == "MEMOIZE":
            tops[len(tops) if argument is None else argument] = on_top
        on_top = opcode.name in _TUPLES or (on_top and opcode.name in _LEAVE_TOP)


def _items(loaded: object) -> list[tuple]:
    if type(loaded) is not dict:
        raise _Refused(_kind(loaded))
    return list(loaded.items())


def _whole(key: object) -> int:
    if type(key) is not int:
        raise _Refused(f"a key that is {_kind(key)}")
    return key


def _numbers(value: object) -> np.ndarray:
    if isinstance(value, _Array):
        return value.values
    if type(value) in (list, tuple) and all(type(item) in (int, float) for item in value):
        return np.array(value, dtype=np.float64)
    raise _Refused(_kind(value))


def _kind(value: object) -> str:
    return "a name of NumPy alone" if isinstance(value, _Named) else f"a {type(value).__name__}"

"""Pickled arrays of every NumPy and protocol, and pickles that try to run something."""

import copyreg
import os
import pickle
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from archive_forms import one_line
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.core.errors import UserError
from stages.corpora.decoding.pickles import MAX_STEPS, load_arrays

ARRAYS = {0: np.arange(12.0).reshape(3, 4), 1: np.array([4, 4, 4])}


def same(found: dict, expected: dict) -> None:
    assert list(found) == list(expected)
    for key, array in expected.items():
        assert (found[key].dtype, found[key].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[key], array)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol(protocol: int):
    same(load_arrays(pickle.dumps(ARRAYS, protocol), "here"), ARRAYS)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["f8", "<f4", ">f8", "f2", "i1", ">i4", "u2", "i8", "?"])
def test_types_and_orders_in_memory(protocol: int, kind: str):
    plain = np.array([[0, 1, 2], [3, 4, 5]]).astype(kind)
    forms = {0: plain, 1: np.asfortranarray(plain), 2: plain.T, 3: plain[:, ::2], 4: plain[:0], 5: plain[0, 0:1]}
    same(load_arrays(pickle.dumps(forms, protocol), "here"), forms)


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
def test_the_names_of_old_numpy(protocol: int):
    """NumPy 2 moved numpy.core to numpy._core; the released files are older."""
    data = pickle.dumps(ARRAYS, protocol)
    assert b"numpy._core." in data
    for module in (b"multiarray", b"numeric"):
        new, old = b"numpy._core." + module, b"numpy.core." + module
        data = data.replace(b"\x8c" + bytes([len(new)]) + new, b"\x8c" + bytes([len(old)]) + old).replace(new, old)
    framed = protocol >= 4  # told longer than it is now
    same(load_arrays(data[:2] + data[11:] if framed else data, "here"), ARRAYS)


def test_arrays_as_python_2_wrote_them():
    """Bytes were text there: \\xff is a letter of the pickle."""
    data = (
        b"\x80\x02}K\x00cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02u2K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x04\xff\x00\x01\x02tbs."
    )
    same(load_arrays(data, "here"), {0: np.array([255, 513], dtype="u2")})


def test_lists_of_numbers_are_arrays():
    found = load_arrays(pickle.dumps({3: [4, 4, 4], 5: (1.5, 2), 6: []}), "here")
    same(found, {3: np.full(3, 4.0), 5: np.array([1.5, 2.0]), 6: np.zeros(0)})


def test_arrays_may_share_bytes():
    array = np.arange(3.0)
    same(load_arrays(pickle.dumps({0: array, 1: array}), "here"), {0: array, 1: array})


# What is refused, by name


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def touching(path: Path) -> dict[str, bytes]:
    """Pickles that make `path` when loaded, by every way that a pickle has."""
    command = f"touch {path}".encode()
    text = b"(X" + struct.pack("<I", len(command)) + command
    hidden = np.array([Calls(os.system, command.decode())], dtype=object)
    return {
        "REDUCE": pickle.dumps(Calls(os.system, command.decode()), 2),
        "STACK_GLOBAL": pickle.dumps({0: Calls(os.system, command.decode())}, 4),
        "INST": text + b"iposix\nsystem\n.",
        "OBJ": b"(cposix\nsystem\n" + text[1:] + b"o.",
        "NEWOBJ": b"\x80\x02cposix\nsystem\n" + text + b"t\x81.",
        "object array": pickle.dumps({0: hidden}, 3),
        "object array, protocol 5": pickle.dumps({0: hidden}, 5),
        "dict key": b"}(cposix\nsystem\n" + text + b"tRK\x00u.",
        "state": b"cnumpy.core.multiarray\n_reconstruct\n(tRcposix\nsystem\n" + text + b"tRb.",
        "by another name": b"\x80\x04\x8c\x02os\x8c\x06system\x93" + text + b"tR.",
    }


@pytest.mark.parametrize("way", touching(Path("x")))
def test_nothing_runs(tmp_path: Path, way: str):
    trace = tmp_path / "ran"
    data = touching(trace)[way]
    name = {"object": "of type 'O8'", "by": "'os.system'"}.get(way.split()[0], "'posix.system'")
    one_line(lambda: load_arrays(data, "here"), "here: pickled content that is not read", "allowed: a dict", name)
    assert not trace.exists()
    if way not in ("NEWOBJ", "dict key", "state"):  # those fail after, or before, they run
        with suppress(Exception):
            pickle.loads(data)
        assert trace.exists()  # so what was refused would have run


REFUSED = {
    "eval": (b"cbuiltins\neval\n(Vprint(1)\ntR.", "builtins.eval"),
    "Python 2's eval": (b"c__builtin__\neval\n(Vprint(1)\ntR.", "__builtin__.eval"),
    "getattr": (b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93.", "builtins.getattr"),
    "a dotted name": (b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.tofile.x\x93.", "numpy.ndarray.tofile.x"),
    "another of numpy": (b"cnumpy\nload\n.", "numpy.load"),
    "scalars": (pickle.dumps({0: np.float64(1)}), "multiarray.scalar"),
    "memoryview": (b"cbuiltins\nmemoryview\n(C\x01atR.", "builtins.memoryview"),
    "sets": (pickle.dumps({0: {1, 2}}), "a set"),
    "control characters": (b"\x80\x04\x8c\x02o\n\x8c\x03\x1b[m\x93.", r"o\\n.\\x1b[m"),
    "registry": (b"\x80\x02\x82\x01.", "a code of the extension registry"),
    "persistent id": (b"Pos.system\n.", "a persistent id"),
    "persistent object": (b"\x80\x02K\x01Q.", "a persistent id"),
    "buffer": (b"\x80\x05\x97.", "a buffer kept elsewhere"),
    "another state for ndarray": (b"cnumpy\nndarray\n}Vx\nK\x01sb.", "another state for a name of NumPy"),
    "slots of dtype": (b"\x80\x02cnumpy\ndtype\nN}Vx\nK\x01s\x86b.", "another state for a name of NumPy"),
    "an array by its class": (b"cnumpy\nndarray\n(K\x05tR.", "an array without its bytes"),
    "no dict": (pickle.dumps([1, 2]), "a list"),
    "a name": (b"}K\x00cnumpy\nndarray\ns.", "a name of NumPy alone"),
    "text keys": (pickle.dumps({"a": np.zeros(1)}), "a key that is a str"),
    "a truth as key": (pickle.dumps({True: np.zeros(1)}), "a key that is a bool"),
    "text": (pickle.dumps({0: "os.system"}), "a str"),
    "lists of lists": (pickle.dumps({0: [[1, 2]]}), "a list"),
    "times": (pickle.dumps({0: np.zeros(2, "M8[s]")}), "an array of type 'M8'"),
    "complex": (pickle.dumps({0: np.zeros(2, complex)}), "an array of type 'c16'"),
    "records": (pickle.dumps({0: np.zeros(2, [("a", "f8")])}, 3), "an array of type 'V8'"),
    "texts": (pickle.dumps({0: np.array(["a"])}), "an array of type 'U1'"),
    "other text encodings": (b"c_codecs\nencode\n(Va\nVrot13\ntR.", "text of encoding 'rot13'"),
    "long": (b"\x80\x02" + b"K\x00" * MAX_STEPS + b".", f"more than {MAX_STEPS} steps"),
    "places": (b"\x80\x02K\x00r\xff\xff\xff\x7f.", "memory for 2147483647 objects"),
}


@pytest.mark.parametrize(("data", "received"), REFUSED.values(), ids=REFUSED)
def test_refused_by_name(data: bytes, received: str):
    line = one_line(lambda: load_arrays(data, "a.zip: 'x'"), "a.zip: 'x': pickled content that is not read", received)
    assert line.isprintable()
    assert len(line) < 250


def test_a_registered_extension_is_refused_too():
    """loads() would fetch it from a cache, without asking for its name."""
    copyreg.add_extension("posix", "system", 240)
    try:
        assert pickle.loads(b"\x80\x02\x82\xf0.") is os.system
        one_line(lambda: load_arrays(b"\x80\x02\x82\xf0(Vtrue\ntR.", "here"), "a code of the extension registry")
    finally:
        copyreg.remove_extension("posix", "system", 240)


def shaped(shape: tuple) -> bytes:
    """An array of 16 bytes that claims to have this shape."""
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\ntR(K\x01"
    kind = b"cnumpy\ndtype\nVf8\n\x85R"
    claimed = pickle.dumps(shape, 2)[2:-1]
    return b"\x80\x03}K\x00" + array + claimed + kind + b"\x89C\x10" + bytes(16) + b"tbs."


@pytest.mark.parametrize("shape", [(3,), (-2,), (-1, -2), (2.0,), (1 << 62, 1 << 62), (2, 1, 1, 1, 1), ()])
def test_shapes_that_the_bytes_do_not_fill(shape: tuple):
    same(load_arrays(shaped((2,)), "here"), {0: np.zeros(2)})
    one_line(lambda: load_arrays(shaped(shape), "here"), "an array of shape", "in 16 bytes")


def test_copies_are_counted():
    """Without, 20,000 steps would make copies of 10 MB each."""
    text = b"X" + struct.pack("<I", 10_000_000) + b"a" * 10_000_000 + b"q\0Vlatin1\nq\x01c_codecs\nencode\nq\x02"
    data = b"\x80\x02(" + text + b"h\x02h\0h\x01\x86R" * 2_000 + b"t."
    one_line(lambda: load_arrays(data, "here"), "or too much of it")


def test_deep_nesting_as_a_key():
    data = b"\x80\x02})" + b"\x85" * (MAX_STEPS - 6) + b"K\x00s."
    one_line(lambda: load_arrays(data, "here"), "a key that is a tuple")


TWICE = b"\x86"  # a pair
HELD_TWICE = {
    "copied": b"2" + TWICE,
    "memorised": b"\x94h%c" + TWICE,
    "memorised below what goes": b"N0q%ch%c" + TWICE,
    "memorised again": b"q%cr%c\0\0\0h%c" + TWICE,
}


@pytest.mark.parametrize("way", HELD_TWICE)
def test_a_hash_that_would_take_for_ever(way: str):
    """Sixty pairs, each of the one before and itself: 2 ** 60 steps to hash the last."""
    pairs = (HELD_TWICE[way].replace(b"%c", bytes([number])) for number in range(60))
    data = b"\x80\x04})" + b"\x85" + b"".join(pairs) + b"K\x01s."
    one_line(lambda: load_arrays(data, "here"), "pickled content that is not read")


@pytest.mark.parametrize("step", [b"\x8f(K\x01\x90", b"(K\x01\x91"], ids=["set", "frozenset"])
def test_sets_are_refused(step: bytes):
    one_line(lambda: load_arrays(b"\x80\x04" + step + b".", "here"), "received: 'a set'")


def test_broken_bytes_are_never_more_than_one_line():
    whole = pickle.dumps(ARRAYS, 3)
    for end in range(len(whole)):
        one_line(lambda end=end: load_arrays(whole[:end], "here"), "here: a pickle that is damaged or cut short")


@pytest.mark.filterwarnings("ignore:invalid escape")  # in texts of protocol 0
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_bytes(data: st.DataObject):
    whole = bytearray(pickle.dumps(ARRAYS, data.draw(st.integers(0, 5))))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(UserError):
        found = load_arrays(bytes(whole), "here")
        assert all(type(key) is int and type(array) is np.ndarray for key, array in found.items())

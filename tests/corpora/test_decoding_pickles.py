"""Pickled arrays of every protocol and NumPy, and pickles that try to run code or to fill memory."""

import copyreg
import os
import pickle
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from archive_files import one_line
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.core.errors import UserError
from stages.corpora.decoding import pickles
from stages.corpora.decoding.pickles import MAX_OPCODES, load_arrays

ARRAYS = {0: np.arange(12.0).reshape(3, 4), 1: np.array([4, 4, 4])}


def assert_loads(data: bytes, expected: dict) -> None:
    found = load_arrays(data, "here")
    assert list(found) == list(expected)
    for key, array in expected.items():
        assert (found[key].dtype, found[key].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[key], array)


def error(data: bytes, *words: str) -> str:
    line = one_line(lambda: load_arrays(data, "a.zip: 'x'"), "a.zip: 'x': not a readable pickle of arrays", *words)
    assert line.isprintable()
    assert len(line) < 300
    return line


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["f8", "<f4", ">f8", "f2", "i1", ">i4", "u2", "i8", "?"])
def test_types_and_memory_orders(protocol: int, kind: str):
    plain = np.array([[0, 1, 2], [3, 4, 5]]).astype(kind)
    forms = [plain, np.asfortranarray(plain), plain.T, plain[:, ::2], plain[:0], plain[0, 0:1], np.array(plain[1, 1])]
    assert_loads(pickle.dumps(dict(enumerate(forms)), protocol), dict(enumerate(forms)))


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
def test_names_of_numpy_1(protocol: int):
    """NumPy 2 moved numpy.core to numpy._core; the released files are older."""
    data = pickle.dumps(ARRAYS, protocol)
    assert b"numpy._core." in data
    for module in (b"multiarray", b"numeric"):
        new, old = b"numpy._core." + module, b"numpy.core." + module
        data = data.replace(b"\x8c" + bytes([len(new)]) + new, b"\x8c" + bytes([len(old)]) + old).replace(new, old)
    assert_loads(data[:2] + data[11:] if protocol >= 4 else data, ARRAYS)  # without the frame, whose length changed


def test_arrays_written_by_python_2():
    """There, bytes were text: \\xff is a letter of the pickle."""
    data = (
        b"\x80\x02}K\x00cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02u2K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x04\xff\x00\x01\x02tbs."
    )
    assert_loads(data, {0: np.array([255, 513], dtype="u2")})


def test_lists_of_numbers_become_arrays():
    expected = {3: np.full(3, 4.0), 5: np.array([1.5, 2.0]), 6: np.zeros(0)}
    assert_loads(pickle.dumps({3: [4, 4, 4], 5: (1.5, 2), 6: []}), expected)


class Call:
    """Pickled as a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def creating(path: Path) -> dict[str, bytes]:
    """Return pickles that create `path` when they are loaded, by every opcode that can call a function."""
    command = f"touch {path}".encode()
    text = b"(X" + struct.pack("<I", len(command)) + command
    objects = np.array([Call(os.system, command.decode())], dtype=object)
    return {
        "REDUCE": pickle.dumps(Call(os.system, command.decode()), 2),
        "STACK_GLOBAL": pickle.dumps({0: Call(os.system, command.decode())}, 4),
        "INST": text + b"iposix\nsystem\n.",
        "OBJ": b"(cposix\nsystem\n" + text[1:] + b"o.",
        "NEWOBJ": b"\x80\x02cposix\nsystem\n" + text + b"t\x81.",
        "object array": pickle.dumps({0: objects}, 3),
        "object array, protocol 5": pickle.dumps({0: objects}, 5),
        "dict key": b"}(cposix\nsystem\n" + text + b"tRK\x00u.",
        "state": b"cnumpy.core.multiarray\n_reconstruct\n(tRcposix\nsystem\n" + text + b"tRb.",
        "os": b"\x80\x04\x8c\x02os\x8c\x06system\x93" + text + b"tR.",
    }


@pytest.mark.parametrize("way", creating(Path("x")))
def test_no_code_runs(tmp_path: Path, way: str):
    path = tmp_path / "created"
    data = creating(path)[way]
    error(data, "import of os.system" if way == "os" else "import of posix.system")
    assert not path.exists()
    if way not in ("NEWOBJ", "dict key", "state"):  # pickle.loads fails for these
        with suppress(Exception):
            pickle.loads(data)
        assert path.exists()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"cbuiltins\neval\n(Vprint(1)\ntR.", "builtins.eval"),
        (b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93.", "builtins.getattr"),
        (b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.tofile.x\x93.", "numpy.ndarray.tofile.x"),
        (pickle.dumps({0: np.float64(1)}), "multiarray.scalar"),
        (b"cbuiltins\nmemoryview\n(C\x01atR.", "builtins.memoryview"),
        (b"\x80\x04\x8c\x02o\n\x8c\x03\x1b[m\x93.", r"o\\n.\\x1b[m"),
    ],
)
def test_refuses_imports_that_arrays_do_not_need(data: bytes, name: str):
    error(data, f"import of {name}" if "scalar" not in name else name)


def test_refuses_a_registered_extension():
    """pickle.loads would call it without `find_class`."""
    copyreg.add_extension("posix", "system", 240)
    try:
        assert pickle.loads(b"\x80\x02\x82\xf0.") is os.system
        error(b"\x80\x02\x82\xf0(Vtrue\ntR.", "opcode EXT1")
    finally:
        copyreg.remove_extension("posix", "system", 240)


STAND_INS = [b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"c_codecs\nencode\n", b"cnumpy.core.numeric\n_frombuffer\n"]


@pytest.mark.parametrize("name", STAND_INS)
@pytest.mark.parametrize("state", [b"}Vx\nK\x01s", b"N}Vx\nK\x01s\x86"], ids=["attributes", "slots"])
def test_pickles_cannot_change_the_stand_ins(name: bytes, state: bytes):
    error(b"\x80\x02" + name + state + b"b.")
    assert not hasattr(pickles._Call, "x")
    assert_loads(pickle.dumps(ARRAYS, 2), ARRAYS)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pickle.dumps([1, 2]), "dict with whole numbers"),
        (pickle.dumps({"a": np.zeros(1)}), "whole numbers as keys"),
        (pickle.dumps({1 << 64: np.zeros(1)}), "whole numbers as keys"),
        (b"}K\x00cnumpy\nndarray\ns.", "a value of type type"),
        (pickle.dumps({0: {1, 2}}), "a value of type set"),
        (pickle.dumps({0: [[1, 2]]}), "a value of type list"),
        (pickle.dumps({0: np.zeros(2, "M8[s]")}), "an array of type 'M8'"),
        (pickle.dumps({0: np.zeros(2, [("a", "f8")])}, 3), "an array of type 'V8'"),
        (pickle.dumps({0: np.array(["a"])}), "an array of type 'U1'"),
        (b"Pos.system\n.", "persistent"),
        (b"\x80\x05\x97.", "buffer"),
    ],
)
def test_refuses_other_content(data: bytes, words: str):
    error(data, words)


def shaped(shape: object, code: bytes = b"Vf8\n") -> bytes:
    """Return a pickled array of 16 bytes that states this shape."""
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\ntR(K\x01"
    stated = pickle.dumps(shape, 2)[2:-1]
    return b"\x80\x03}K\x00" + array + stated + b"cnumpy\ndtype\n" + code + b"\x85R\x89C\x10" + bytes(16) + b"tbs."


@pytest.mark.parametrize("shape", [(3,), (-2,), (-1, -2), (2.0,), (1 << 62, 1 << 62), (1 << 62, 0), ()])
def test_refuses_shapes_that_do_not_fit_the_bytes(shape: tuple):
    assert_loads(shaped((2,)), {0: np.zeros(2)})
    error(shaped(shape), "does not fit its 16 bytes")


def test_refuses_more_opcodes_bytes_and_memo_entries_than_arrays_need(monkeypatch: pytest.MonkeyPatch):
    error(b"\x80\x02" + b"K\x00" * MAX_OPCODES + b".", f"{MAX_OPCODES} opcodes")
    error(b"\x80\x02K\x00r\xff\xff\xff\x7f.", "index 2147483647 of the memo")
    monkeypatch.setattr(pickles, "MAX_BYTES", 100)
    error(pickle.dumps(ARRAYS), "bytes; allowed: at most 100")


def test_bounds_arrays_that_share_one_text(monkeypatch: pytest.MonkeyPatch):
    """Python 2 wrote bytes as text; every array that uses the text is a copy of it."""
    text = b"U\xf0" + bytes(240) + b"q\x00"
    array = b"cnumpy.core.multiarray\n_reconstruct\n)R(K\x01K\x1e\x85cnumpy\ndtype\nVf8\n\x85R\x89%btb"
    others = b"".join(b"K" + bytes([key]) + array.replace(b"%b", b"h\x00") for key in range(1, 9))
    data = b"\x80\x02}(K\x00" + array.replace(b"%b", text) + others + b"u."
    assert_loads(data, dict.fromkeys(range(9), np.zeros(30)))
    monkeypatch.setattr(pickles, "MAX_BYTES", len(data))
    error(data, "arrays of more than")


def test_deep_nesting_as_a_key():
    error(b"\x80\x02})" + b"\x85" * (MAX_OPCODES - 6) + b"K\x00s.", "whole numbers as keys")


@pytest.mark.parametrize(
    "twice",
    [b"2\x86", b"\x94h%c\x86", b"N0q%ch%c\x86", b"q%cr%c\0\0\0h%c\x86"],
    ids=["DUP", "MEMOIZE", "POP", "PUT twice"],
)
def test_refuses_a_key_whose_hash_would_take_forever(twice: bytes):
    """Sixty pairs, each of the previous one twice: hashing the last would take 2^60 steps."""
    pairs = b"".join(twice.replace(b"%c", bytes([number])) for number in range(60))
    error(b"\x80\x04})\x85" + pairs + b"K\x01s.")


def test_refuses_a_type_whose_text_would_take_forever():
    """The type is the last of sixty lists, each of the previous one twice."""
    lists = b"".join(b"](h%ch%ceq%c" % (number, number, number + 1) for number in range(60))
    error(shaped((2,), b"h\x3c").replace(b"\x80\x03", b"\x80\x03]q\x00" + lists, 1), "an array of type")


def test_truncated_pickles_are_one_line():
    whole = pickle.dumps(ARRAYS, 3)
    for end in range(len(whole)):
        error(whole[:end])


@pytest.mark.filterwarnings("ignore:invalid escape")  # in texts of protocol 0
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_bytes_are_refused_or_harmless(data: st.DataObject):
    whole = bytearray(pickle.dumps(ARRAYS, data.draw(st.integers(0, 5))))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(UserError):
        found = load_arrays(bytes(whole), "here")
        assert all(type(key) is int and type(array) is np.ndarray for key, array in found.items())

"""Reading data sets: the right numbers or one sentence with the exact line, for every form and fault."""

import os
import random
import tracemalloc

import numpy as np
import pytest

from minigan.errors import DataError
from minigan.training import data as data_module
from minigan.training.data import location_scale, read_data


@pytest.fixture
def read(tmp_path):
    def read(content, name="a.csv", **options):
        file = tmp_path / name
        if isinstance(content, np.ndarray):
            np.save(file, content, allow_pickle=False)
        else:
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        data = read_data(file, **options)
        assert (
            data.values.dtype == np.float64 and data.values.flags.c_contiguous and data.values.flags.writeable
        )
        assert data.values.ndim == 2 and len(data.names) == data.values.shape[1]
        assert np.isfinite(data.values).all()
        assert data.source == str(file)
        return data

    return read


@pytest.fixture
def refused(read):
    def refused(content, name="a.csv", **options):
        with pytest.raises(DataError) as caught:
            read(content, name, **options)
        message = str(caught.value)
        assert caught.value.exit_code == 3 and "\n" not in message and len(message) < 500, message
        return message

    return refused


TABLE = [[1.5, 2.0], [-3.25, 4e3]]

# Text that is read


@pytest.mark.parametrize(
    "text",
    [
        "1.5,2\n-3.25,4e3\n",
        "1.5,2\n-3.25,4e3",
        "x,y\n1.5,2\n-3.25,4e3\n",
        "x;y\n1,5;2\n-3,25;4e3\n",
        "1.5;2\n-3.25;4e3\n",
        "x\ty\n1,5\t2\n-3,25\t4e3\n",
        "x y\n1.5 2\n-3.25   4e3\n",
        "x,y\r\n1.5,2\r\n-3.25,4e3\r\n",
        "1.5,2\r-3.25,4e3\r",
        "# made by hand\n\n1.5,2\n   \n# half way\n-3.25,4e3\n\n",
        ' "x", "y"\n"1.5","2"\n-3.25,"4e3"\n',
        '"1,5";2\n"-3,25";4e3\n',
        " 1.5 , 2 \n -3.25 ,\t4e3\n".replace("\t", " "),
    ],
)
def test_text_forms_are_read(read, text):
    np.testing.assert_array_equal(read(text).values, TABLE)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_are_read(read, encoding):
    data = read("größe;y\n1,5;2\n-3,25;4e3\n".encode(encoding))
    np.testing.assert_array_equal(data.values, TABLE)
    assert data.names == ("größe", "y")


def test_utf_16_of_either_order_with_its_mark_is_read(read):
    text = "\ufeff1.5,2\n-3.25,4e3\n"
    for encoding in ("utf-16-le", "utf-16-be"):
        np.testing.assert_array_equal(read(text.encode(encoding)).values, TABLE)


def test_one_column_is_a_table(read):
    data = read("velocity (km/s, heliocentric)\n1\n2\n4\n")
    np.testing.assert_array_equal(data.values, [[1], [2], [4]])
    assert data.names == ("velocity (km/s, heliocentric)",)
    assert any("line 1 was taken as a header" in note for note in data.notes)


def test_names_without_a_header(read):
    assert read("1\n2\n").names == ("x",)
    assert read("1,2\n3,4\n").names == ("x0", "x1")
    assert read("a,\n1,2\n3,4\n").names == ("a", "x1")


def test_the_galaxies_are_read(read):
    velocities = [9172, 9350, 9483, 16084, 34279]
    data = read("velocity_km_s\n" + "\n".join(map(str, velocities)) + "\n")
    np.testing.assert_array_equal(data.values[:, 0], velocities)
    assert data.names == ("velocity_km_s",)


def test_tsv_and_txt_endings_in_any_case(read):
    for name in ("a.tsv", "a.TXT", "a.CSV"):
        assert read("1\n2\n", name).values.shape == (2, 1)


def test_numbers_keep_every_digit(read):
    values = np.random.default_rng(1).normal(size=(50, 3)) * 10.0 ** np.arange(-5, 10, 5)
    text = "\n".join(",".join(map(repr, row)) for row in values.tolist())
    np.testing.assert_array_equal(read(text).values, values)


def test_control_characters_in_a_header_are_made_visible(read):
    assert read(b"a\x1b[31m\n1\n2\n").names == ("a\\x1b[31m",)


# Text that is refused, with the line


@pytest.mark.parametrize(
    ("text", "line", "shown"),
    [
        ("1\n2\nabc\n4\n", 3, "'abc'"),
        ("x\n1\n\n# c\n1.2.3\n", 5, "'1.2.3'"),
        ("1,2\n3\n", 2, "'3'"),
        ("1,2\n3,4\n5,6,7\n", 3, "'5,6,7'"),
        ("x,y\r\n1,2\r\n3;4\r\n", 3, "'3;4'"),
        ("v\n1,5\n2,5\n", 2, "decimal comma needs ';'"),
        ("1;2\n1,5;2\n1.5;2\n", 3, "'.'"),
        ("1;2\n1,234.5;2\n", 2, "thousands"),
        ("1.O,2\n3,4\n", 1, "'1.O'"),
        ("1\n1_0\n", 2, "'1_0'"),
        ("1\n2\n0x10\n", 3, "'0x10'"),
        ('1\n"2\n3,"\n', 3, "3,"),
        ("1\n2\n" + "9" * (data_module.MAX_LINE + 1) + "\n", 3, "more than"),
    ],
)
def test_exact_line_and_offending_text(refused, text, line, shown):
    message = refused(text)
    assert f"line {line}" in message and shown in message, message


def test_undecodable_byte_is_reported_with_its_line(refused):
    assert "line 3" in refused(b"1\n2\n\xff3\n4\n")


def test_truncated_utf_16_is_refused(refused):
    refused("1\n2\nabc".encode("utf-16")[:-1])


def test_binary_rubbish_is_refused(refused):
    refused(bytes(range(256)) * 4)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", b"\xef\xbb\xbf"])
def test_empty_file_is_refused(refused, text):
    assert "empty" in refused(text)


@pytest.mark.parametrize(("text", "rows"), [("x\n", 0), ("x\n5\n", 1), ("5\n", 1)])
def test_fewer_than_two_rows_are_refused(refused, text, rows):
    assert f"has {rows} row" in refused(text)


# Values that are refused, from both formats


def test_nan_and_infinity_are_refused_with_count_and_first_row(refused):
    for content, name in (
        ("x\n1\nnan\n3\n-inf\n", "a.csv"),
        (np.array([1, np.nan, 3, -np.inf]), "a.npy"),
        ("1,1\n2,\n3,3\n4,NA\n", "a.csv"),
    ):
        message = refused(content, name)
        assert "2 rows" in message and "row 2 of 4" in message and "--set drop_nonfinite=true" in message


def test_nonfinite_rows_are_dropped_on_request_with_a_note(read, refused):
    data = read("1,1\n2,nan\n3,3\n4,inf\n", drop_nonfinite=True)
    np.testing.assert_array_equal(data.values, [[1, 1], [3, 3]])
    assert any("2 of 4 rows" in note for note in data.notes)
    assert "1 row of numbers left" in refused("1\nnan\n", drop_nonfinite=True)


def test_constant_column_is_refused(refused):
    for content, name in (("a,b\n1,5\n2,5\n", "a.csv"), (np.array([[1.0, 5], [2, 5]]), "a.npy")):
        message = refused(content, name)
        assert "variance 0, the target has no density" in message and "(5)" in message


def test_unselected_columns_may_hold_anything_finite_or_not(read):
    np.testing.assert_array_equal(read("1,nan\n2,7\n", columns=[0]).values, [[1], [2]])


# Columns


def test_columns_are_selected_by_index_and_name_in_the_order_given(read):
    text = "a,b,c\n1,2,3\n4,5,6\n"
    data = read(text, columns=["c", 0])
    np.testing.assert_array_equal(data.values, [[3, 1], [6, 4]])
    assert data.names == ("c", "a")
    np.testing.assert_array_equal(read(np.arange(6.0).reshape(2, 3), "a.npy", columns=[2]).values, [[2], [5]])


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        (["velocty"], "did you mean 'velocity'"),
        ([2], "has 2 columns, received index 2"),
        ([-1], "received index -1"),
        ([0, 0], "each column once"),
        ([], "at least one"),
    ],
)
def test_unknown_columns_are_refused(refused, columns, what):
    assert what in refused("velocity,error\n1,2\n3,4\n", columns=columns)


def test_names_need_a_header_and_must_be_unique(refused):
    assert "no header" in refused("1,2\n3,4\n", columns=["x0"])
    assert "no header" in refused(np.ones((2, 2)), "a.npy", columns=["x0"])
    assert "2 columns named 'a'" in refused("a,a\n1,2\n3,4\n", columns=["a"])


# NPY that is read


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", ">f4", "<f2", ">f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_float_arrays_of_any_size_byte_order_and_layout_are_read_equal(read, dtype, order):
    values = np.array([[1.5, 2], [-3.25, 4], [0, -1]]).astype(dtype, order=order)
    data = read(values, "a.npy")
    np.testing.assert_array_equal(data.values, values.astype(np.float64))
    assert data.notes == ()


@pytest.mark.parametrize("dtype", ["i1", "u1", "<i2", ">i4", "<i8", ">u8"])
def test_integers_are_converted_with_a_note(read, dtype):
    data = read(np.array([1, 2, 100], dtype), "a.npy")
    np.testing.assert_array_equal(data.values[:, 0], [1, 2, 100])
    assert any("converted to float64" in note and "rounded" not in note for note in data.notes)


def test_integers_beyond_the_exact_range_are_rounded_with_a_note(read):
    assert any("rounded" in note for note in read(np.array([2**60 + 1, 3]), "a.npy").notes)


def test_one_axis_is_one_column(read):
    assert read(np.array([1.0, 2, 3]), "a.npy").values.shape == (3, 1)


def test_views_and_read_only_arrays_are_saved_and_read_equal(read):
    base = np.arange(24.0).reshape(4, 6)
    for array in (base[::2, ::-2], np.asfortranarray(base).T):
        array.setflags(write=False)
        np.testing.assert_array_equal(read(array, "a.npy").values, array)


def test_a_read_only_file_is_read(read, tmp_path):
    read(np.array([1.0, 2]), "a.npy")
    (tmp_path / "a.npy").chmod(0o400)
    assert read_data(tmp_path / "a.npy").values.shape == (2, 1)


def test_the_result_does_not_change_with_the_file(read, tmp_path):
    data = read(np.array([1.0, 2]), "a.npy")
    np.save(tmp_path / "a.npy", np.array([7.0, 8]))
    np.testing.assert_array_equal(data.values, [[1], [2]])


# NPY that is refused


@pytest.mark.parametrize(
    ("array", "what"),
    [
        (np.array([1 + 1j, 2]), "complex"),
        (np.array([True, False]), "truth values"),
        (np.array(["a", "b"]), "text"),
        (np.array([b"a", b"b"]), "text"),
        (np.array(["2024-01-01"], "M8[D]"), "datetime64"),
        (np.zeros(3, [("a", "f8")]), "cannot be learned"),
        (np.zeros(3, np.longdouble), "float128" if np.dtype(np.longdouble).itemsize == 16 else ""),
        (np.ones((2, 2, 2)), "shape (2, 2, 2)"),
        (np.array(3.0), "shape ()"),
        (np.zeros((0, 3)), "empty"),
        (np.zeros((3, 0)), "empty"),
        (np.ones((1, 3)), "has 1 row"),
    ],
)
def test_arrays_that_are_not_a_table_of_numbers_are_refused(refused, array, what):
    assert what in refused(array, "a.npy")


class Bomb:
    """An object whose unpickling leaves a trace."""

    exploded = False

    def __reduce__(self):
        return (setattr, (Bomb, "exploded", True))


def test_objects_are_refused_and_nothing_is_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([Bomb(), 1], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="Python objects"):
        read_data(tmp_path / "a.npy")
    assert not Bomb.exploded


def npy(header):
    header = header.encode("latin1") + b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-3,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2.5,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), 'x': 1}",
        "{'descr': 'nonsense', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': " + "(" * 60,
        "__import__('os').system('true')",
        "[1, 2",
    ],
)
def test_a_header_is_not_believed(refused, header):
    tracemalloc.start()
    try:
        refused(npy(header) + bytes(64), "a.npy")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_every_truncation_of_an_array_is_refused(tmp_path, refused):
    np.save(tmp_path / "b.npy", np.array([1.0, 2, 3]))
    whole = (tmp_path / "b.npy").read_bytes()
    for end in range(len(whole)):
        refused(whole[:end], "a.npy")
    refused(whole + b"\0", "a.npy")


# Files that are refused


def test_file_faults_are_refused(tmp_path):
    (tmp_path / "d.csv").mkdir()
    for path, what in (
        (tmp_path / "none.csv", "No such file"),
        (tmp_path / "d.csv", "a directory"),
        (tmp_path / "a.xlsx", "'.xlsx'"),
        (tmp_path / ("x" * 5000 + ".csv"), "cannot be read"),
        ("a\0.csv", "cannot be read"),
    ):
        with pytest.raises(DataError, match=what):
            read_data(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "p.csv")
    with pytest.raises(DataError, match="not a regular file"):
        read_data(tmp_path / "p.csv")


def test_unreadable_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("1\n2\n")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    # Permission bits do not bind a superuser, who may be running the tests.
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(DataError, match="Permission denied"):
        read_data(tmp_path / "a.csv")


def test_a_file_too_large_is_refused_before_it_is_opened(tmp_path):
    with open(tmp_path / "big.csv", "wb") as file:
        file.truncate(data_module.MAX_BYTES + 1)
    with pytest.raises(DataError, match="more than the 2147483648"):
        read_data(tmp_path / "big.csv")


def test_an_array_beyond_the_free_memory_is_refused(read, refused, monkeypatch):
    monkeypatch.setattr("minigan.machine.available_memory", lambda: 100)
    assert "of memory is free" in refused(np.arange(20.0), "a.npy")


# Notes


def test_huge_values_are_read_with_a_warning(read):
    data = read("1e300\n-2e300\n5e299\n")
    np.testing.assert_array_equal(data.values[:, 0], [1e300, -2e300, 5e299])
    assert any("reaches 2e+300" in note for note in data.notes)
    assert any("reaches" in note for note in read("1e308\n-1.7e308\n0\n").notes)


def test_an_outlier_is_noted(read):
    text = "\n".join(map(str, [*range(100), 10**12]))
    assert any("interquartile range" in note for note in read(text).notes)


def test_a_range_beyond_any_number_is_noted(read):
    values = np.concatenate([np.linspace(0, 1e-322, 99), [1.0]])[:, None]
    (note,) = (note for note in read(values, "a.npy").notes if "interquartile" in note)
    assert "spans inf times" in note


def test_duplicated_rows_are_noted(read):
    assert any("6 of 8 repeat another" in note for note in read("1\n2\n" * 4).notes)
    assert read("1\n2\n3\n3\n").notes == ()


def test_subnormal_values_are_read(read):
    np.testing.assert_array_equal(read("5e-324\n1e-310\n0\n").values[:, 0], [5e-324, 1e-310, 0])


def test_location_and_scale_at_every_magnitude():
    values = np.random.default_rng(2).normal(3, 2, size=(1000, 1))
    for unit in (1e-300, 1.0, 1e300):
        mean, sd = location_scale(values * unit)
        np.testing.assert_allclose(mean, values.mean() * unit, rtol=1e-12)
        np.testing.assert_allclose(sd, values.std() * unit, rtol=1e-12)


# Memory and garbage


def test_memory_stays_within_four_tables(tmp_path):
    table = np.random.default_rng(3).normal(size=(40000, 5))
    np.savetxt(tmp_path / "a.csv", table, delimiter=",")
    np.save(tmp_path / "a.npy", np.asfortranarray(table.astype(np.float32)))
    for name in ("a.csv", "a.npy"):
        tracemalloc.start()
        try:
            read_data(tmp_path / name)
            _, peak = tracemalloc.get_traced_memory()
            assert peak < 4 * table.nbytes + 2**22  # and lines, libraries, a sample
        finally:
            tracemalloc.stop()


def test_500_mutated_files_are_finite_tables_or_refused(tmp_path):
    rng = random.Random(4)
    np.save(tmp_path / "b.npy", np.arange(8.0).reshape(4, 2))
    originals = [
        ("a.csv", b"x;y\r\n1,5;2\r\n-3,25;4e3\r\n7;8\r\n"),
        ("a.csv", b"# c\n1.5,2\n-3.25,4e3\n\n7,8\n"),
        ("a.csv", "a\tb\n1\t2\n3\t4\n".encode("utf-16")),
        ("a.npy", (tmp_path / "b.npy").read_bytes()),
    ]
    outcomes = {True: 0, False: 0}
    for i in range(500):
        name, content = originals[i % len(originals)]
        content = bytearray(content)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(content))
            match rng.randrange(3):
                case 0:
                    content[at] ^= 1 << rng.randrange(8)
                case 1:
                    del content[at : at + rng.randint(1, 5)]
                case _:
                    content[at:at] = rng.choice(
                        [b",", b";", b'"', b"\n", b"\0", b"9" * 400, b"nan", b"\xff\xfe", b"("]
                    )
            content = content or bytearray(b"x")
        (tmp_path / name).write_bytes(content)
        try:
            data = read_data(tmp_path / name)
        except DataError as error:
            assert "\n" not in str(error)
            outcomes[False] += 1
        else:
            assert np.isfinite(data.values).all() and len(data.values) > 1
            outcomes[True] += 1
    assert min(outcomes.values()) > 20, outcomes

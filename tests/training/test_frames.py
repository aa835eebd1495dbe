"""Tables in memory: right numbers under right names, or one sentence with the column and the way out."""

import datetime
import importlib
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from scipy import sparse

import minigan as mg
from minigan.errors import DataError, quoted
from minigan.training.data import read_data
from minigan.training.frames import names_in_frame, read_frame, read_rows

NAN = float("nan")


class Column:
    """What a column of any library has, and nothing else."""

    def __init__(self, values, dtype="", name=None):
        self._values, self.dtype, self.name = values, dtype, name

    def to_numpy(self):
        return (
            np.array(self._values)
            if not any(v is None for v in self._values)
            else np.array(self._values, object)
        )


class Frame:
    """What a data frame of any library has, and nothing else: names, and columns by name."""

    def __init__(self, **columns):
        self._columns = columns

    columns = property(lambda self: list(self._columns))

    def __getitem__(self, name):
        column = self._columns[name]
        return column if isinstance(column, Column) else Column(column)


class Arrow(Frame):
    """As pyarrow has it: names under another name, and columns in order."""

    columns = property(lambda self: [self[name] for name in self._columns])
    column_names = property(lambda self: list(self._columns))

    def itercolumns(self):
        return iter(self.columns)


def refusal(data, **options):
    with pytest.raises(DataError) as caught:
        read_frame(data, **options)
    message = str(caught.value)
    assert (
        caught.value.exit_code == 3 and "\n" not in message and len(message) < 500 and "--set" not in message
    )
    return message


X = [[1.5, 2.0], [-3.25, 4e3]]
TABLES = {  # each way to write X, and the names that its columns then have
    "an array": (np.array(X), ("x0", "x1")),
    "lists": (X, ("x0", "x1")),
    "tuples": (tuple(map(tuple, X)), ("x0", "x1")),
    "objects": (np.array([[1.5, 2], [Fraction(-13, 4), Decimal(4000)]], object), ("x0", "x1")),
    "float32": (np.array(X, "float32"), ("x0", "x1")),
    "big-endian": (np.array(X, ">f8"), ("x0", "x1")),
    "a tensor": (mg.constant(X), ("x0", "x1")),
    "a device": (mg.get_backend("strict").array(np.array(X, "float32")), ("x0", "x1")),
    "fields": (np.array([(1.5, 2), (-3.25, 4000)], [("a", float), ("b", int)]), ("a", "b")),
    "a dictionary": ({"a": [1.5, -3.25], "b": np.array([2, 4000])}, ("a", "b")),
    "a frame": (Frame(a=[1.5, -3.25], b=[2, 4000]), ("a", "b")),
    "named otherwise": (Arrow(a=[1.5, -3.25], b=[2, 4000]), ("a", "b")),
}  # fmt: skip


@pytest.mark.rows("name", TABLES)
def test_a_table_is_read_with_its_names(name):
    data, names = TABLES[name]
    found = read_frame(data)
    np.testing.assert_array_equal(found.values, X)
    assert (
        found.values.dtype == np.float64 and found.values.flags.c_contiguous and found.values.flags.writeable
    )
    assert found.names == names and not found.notes
    assert names_in_frame(data) == (names if names == ("a", "b") else ())


def test_data_that_were_read_are_data():
    """So that what was read may be looked at before it is learned."""
    data = read_frame(Frame(a=[1, 2], b=[3, 4]))
    assert read_frame(data) is data and names_in_frame(data) == ("a", "b")
    np.testing.assert_array_equal(read_frame(data, columns=["b"]).values, [[3], [4]])
    np.testing.assert_array_equal(read_rows(data, ("b", "a")), [[3, 1], [4, 2]])


def test_the_table_that_was_given_is_not_written_to():
    rows = np.array(X)
    read_frame(rows).values[:] = 0.0
    np.testing.assert_array_equal(rows, X)


def test_one_axis_is_a_column():
    for data, name in (([1, 2, 4], "x"), (range(1, 5), "x"), (Column([1.0, 2, 5], name="height"), "height"),
                       (np.ma.masked_array([1.0, 3, 2]), "x")):  # fmt: skip
        found = read_frame(data)
        assert found.names == (name,) and found.values.shape == (len(found.values), 1)


def test_a_frame_is_what_its_file_is(tmp_path):
    """The same rows, names, notes and refusals, but for how the advice is written."""
    file = tmp_path / "a.csv"
    file.write_text("t,x\n1,5\n2,nan\n3,7e101\n4,7\n")
    frame = Frame(t=[1, 2, 3, 4], x=[5, NAN, 7e101, 7])
    found, expected = read_frame(frame, drop_nonfinite=True), read_data(file, drop_nonfinite=True)
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.names == expected.names
    in_python = [note.replace("--set columns=x", "columns=['x']") for note in expected.notes]
    assert list(found.notes) == [note for note in in_python if "header" not in note] and len(found.notes) > 1
    with pytest.raises(DataError) as caught:
        read_data(file)
    written = str(caught.value).replace("--set drop_nonfinite=true", "drop_nonfinite=True")
    written = written.removeprefix(f"the data file {quoted(str(file))}")
    assert refusal(frame).removeprefix("the Frame") == written


DATE = datetime.datetime(2020, 1, 1)
UNLEARNABLE = {  # of a column b, what the sentence says; a beside it is always the way out
    "text": (["Roma", "Oslo"], "'b': 'Roma' is text, which cannot be learned; give the column as numbers"),
    "numbers as text": (["1.5", "2"], "'1.5' is text, which cannot be learned; make the column numbers"),
    "bytes": ([b"a", b"b"], "row 1, column 'b': b'a' is text"),
    "text below": ([1, "x"], "column 'b': '1' is text"),  # NumPy has made it text
    "text among objects": (np.array([1, "x"], object), "row 2, column 'b': 'x' is text"),
    "truth values": ([True, False], "column 'b': truth values cannot be learned; write them as 1 and 0"),
    "and missing ones": ([None, True], "row 2, column 'b': truth values cannot be learned"),
    "dates": (np.array(["2020", "2021"], "M8[D]"), "dates cannot be learned; give the time since a moment"),
    "dates of a zone": (np.array([DATE, DATE]), "values of type datetime cannot be learned; give the time"),
    "durations": (np.array([1, 2], "m8[s]"), "durations cannot be learned; give the time since"),
    "complex numbers": ([1j, 2j], "complex numbers cannot be learned; give real and imaginary parts"),
    "categories": (Column([1, 2], "category"), "categories cannot be learned; give the column as numbers"),
    "of polars": (Column(["a", "b"], "Enum(categories=['a'])"), "categories cannot be learned"),
    "of Arrow": (Column([1, 2], "dictionary<values=int64>"), "categories cannot be learned"),
    "lists": (np.array([[1, 2], [3]], object), "values of type list cannot be learned"),
    "vectors": ([[1, 2], [3, 4]], "column 'b' has shape (2, 2); give columns of one axis"),
}  # fmt: skip


@pytest.mark.rows("kind", UNLEARNABLE)
def test_what_is_no_number_is_named_with_the_way_out(kind):
    column, says = UNLEARNABLE[kind]
    frame = Frame(a=[1.5, 2], b=column)
    message = refusal(frame)
    assert says in message and message.startswith("the Frame")
    if "vectors" not in kind:
        assert message.endswith(", or take the columns that are numbers: columns=['a']")
        assert says.partition("column 'b': ")[2] in refusal(
            column if isinstance(column, np.ndarray) else {"x": column}
        )
    assert read_frame(frame, columns=["a"]).names == ("a",)


def test_missing_values_are_refused_or_dropped():
    class NAType:  # as pandas has it: no comparison with it is true or false
        __repr__ = __str__ = lambda self: "<NA>"

        def __eq__(self, other):
            return self

        def __bool__(self):
            raise TypeError

    for gap in (
        None,
        NAN,
        NAType(),
        Decimal("sNaN"),
        np.float32("nan"),
        np.datetime64("NaT", "s"),
        float("inf"),
    ):
        column = np.array([1, gap, 3, 4.5], object)
        message = refusal({"a": [1, 2, 3, 5], "b": column})
        assert "has 1 row with values that are missing" in message and "row 2 of 4 ('b')" in message
        assert message.endswith("drop them with drop_nonfinite=True")
        kept = read_frame({"a": [1, 2, 3, 5], "b": column}, drop_nonfinite=True)
        np.testing.assert_array_equal(kept.values, [[1, 1], [3, 3], [5, 4.5]])
    masked = np.ma.masked_array([[1, 2], [3, 4], [5, 7]], [[False, True], [False] * 2, [False] * 2])
    np.testing.assert_array_equal(read_frame(masked, drop_nonfinite=True).values, [[3, 4], [5, 7]])
    empty = refusal({"a": [1, 2], "b": [None, None]})
    assert "column 'b' (number 1 from 0) has no value in 2 rows; leave it out with columns=['a']" in empty


def test_numbers_that_float64_has_not_are_noted_or_refused():
    (note,) = read_frame({"n": [2**60 + 1, 3, 1]}).notes
    assert note == "whole numbers of column 'n' beyond 2^53 were rounded"
    assert "missing, NaN or infinite" in refusal([10**400, 1, 2])


@pytest.mark.rows(("data", "says"), [
    ([], "the list has 0 rows of numbers; give at least 2"),
    ([3.0], "the list has 1 row of numbers; give at least 2"),
    (([1, 2, 3], [4, 5, 6]), "holds 2 arrays of 3 values, which could be columns or rows; give np.column_st"),
    (Frame(), "the Frame has no columns; give at least one of numbers"),
    (Frame(a=[]), "the Frame has 0 rows of numbers"),
    ([[1, 2], [3]], "the list has rows of different lengths"),
    ({"a": [1, 2], "b": [1, 2, 3]}, "column 'b' has shape (3,); give columns of one axis and one length"),
    ({"a": 3}, "column 'a' has shape ()"),
    (np.zeros((2, 3, 4)), "the array has shape (2, 3, 4); give one axis of values, or rows by columns"),
    (np.array(3.0), "the array has shape ()"),
    (sparse.eye_array(3).tocsr(), "the csr_array is sparse, which networks do not take; give its toarray()"),
    (sparse.eye_array(3).todok(), "the dok_array is sparse, which"),
    ({1, 2}, "the set is no table; give an array, a list of numbers or of rows, or a data frame"),
    (3, "the int is no table"), (None, "the NoneType is no table"), (iter([1, 2]), "is no table"),
    ([2.0, 2, 2], "column 'x' is constant (2): variance 0"),
    (type("Lazy", (), {"collect": 0})(), "the Lazy has not been computed yet; give its collect()"),
    ([{"a": 1}, {"a": 2}], "the list holds dictionaries of a row each; give a dictionary of columns"),
    (Frame, "the type is no table"),
    (type("Relation", (), {"__arrow_c_stream__": 0, "columns": ["a"]})(), "give pyarrow.table(data)"),
    (type("Stream", (), {"__arrow_c_stream__": 0})(), "is read by pyarrow; give pyarrow.table(data)"),
])  # fmt: skip
def test_what_is_no_table_is_refused(data, says):
    assert says in refusal(data)


def test_columns_are_chosen_by_name_or_by_index():
    frame = Frame(b=[1, 2], A=[3, 4], text=["p", "q"])
    for chosen in (["A", "b"], ["a", "B"], [1, 0]):
        found = read_frame(frame, columns=chosen)
        assert found.names == ("A", "b")
        np.testing.assert_array_equal(found.values, [[3, 1], [4, 2]])
    assert "has no column 'c'" in refusal(frame, columns=["c"])


def test_rows_for_a_fit_come_in_its_order():
    expected = [[3, 1], [4, 2]]
    frame = Frame(b=[1, 2], A=[3, 4], text=["p", "q"])
    for data in (frame, {"a": [3, 4], "b": [1, 2]}, [[3, 1], [4, 2]], {"p": [3, 4], "q": [1, 2]}):
        np.testing.assert_array_equal(read_rows(data, ("a", "b")), expected)
    assert read_rows([[1.0, 2.0]], ("a", "b")).shape == (1, 2)
    columns = [("a", Column([1, 2])), ("a", Column([3, 4])), ("b", Column([5, 6]))]
    twice = type("Twice", (), {"columns": ["a", "a", "b"], "items": lambda self: columns})()
    np.testing.assert_array_equal(read_rows(twice, ("a", "a", "b")), [[1, 3, 5], [2, 4, 6]])
    with pytest.raises(DataError, match="2 columns named 'a'"):
        read_rows(twice, ("b", "a", "a"))
    for data, names, says in ((frame, ("b", "c"), "has no column 'c'"),
                              ([[1, 2]], ("b",), "has 2 columns, where 1"),
                              ([1, None], ("x",), "the first in row 2 of 2"), ([], ("x",), "has no rows"),
                              (frame, ("text",), "'p' is text"), (7, ("x",), "is no table")):  # fmt: skip
        with pytest.raises(DataError, match=says):
            read_rows(data, names)


# ── the libraries themselves, where they are installed


def library(name):
    return pytest.importorskip(name)


def test_pandas():
    pd = library("pandas")
    whole = pd.DataFrame({"b": pd.Series([1, 2, 5], dtype="Int64"), "a": [0.5, 1.5, 3.0]})
    whole.index = ["p", "q", "r"]
    found = read_frame(whole)
    np.testing.assert_array_equal(found.values, [[1, 0.5], [2, 1.5], [5, 3.0]])
    assert found.names == ("b", "a") and found.source == "DataFrame"
    np.testing.assert_array_equal(read_rows(whole, ("a", "b")), found.values[:, ::-1])
    kinds = {
        "text": pd.Series(["Roma", None, "Oslo"]), "boolean": pd.Series([True, None, False], dtype="boolean"),
        "category": pd.Series([1, 2, 1], dtype="category"),
        "zone": pd.Series([pd.Timestamp(DATE, tz="UTC")] * 3),
        "dates": pd.Series([pd.Timestamp(DATE)] * 3), "time": pd.Series(pd.to_timedelta([1, 2, 3], unit="s")),
        "period": pd.Series(pd.period_range("2020", periods=3)),
        "interval": pd.Series(pd.interval_range(0, 3)),
    }  # fmt: skip
    for kind, column in kinds.items():
        message = refusal(pd.DataFrame({"x": [1.0, 2.0, 4.0], kind: column}))
        assert f"column {kind!r}: " in message and message.endswith("columns=['x']"), message
    gap = pd.DataFrame(
        {"n": pd.Series([1, None, 3, 7], dtype="Int64"), "d": [Decimal("1.5"), Decimal(2), None, 1]}
    )
    assert "has 2 rows with values that are missing" in refusal(gap)
    np.testing.assert_array_equal(read_frame(gap, drop_nonfinite=True).values, [[1, 1.5], [7, 1]])
    levels = pd.DataFrame(X, columns=pd.MultiIndex.from_tuples([("a", "x"), ("b", "")]))
    for columns, names in ((levels.columns, ("a.x", "b")), (["a", "a"], ("a", "a")),
                           ([None, "b"], ("x0", "b")), ([2001, 2002], ("2001", "2002")),
                           (range(2), ("x0", "x1"))):  # fmt: skip
        named = pd.DataFrame(X, columns=columns)
        assert read_frame(named).names == names
        np.testing.assert_array_equal(read_frame(named).values, X)
    assert "2 columns named 'a'" in refusal(pd.DataFrame(X, columns=["a", "a"]), columns=["a"])
    assert read_frame(pd.Series([1, 2, 5], name="h")).names == ("h",)
    assert "has no columns" in refusal(pd.DataFrame(index=[1, 2])) and "0 rows" in refusal(whole.iloc[:0])
    dense = read_frame(pd.DataFrame({"s": pd.Series([0, 0, 1.5]).astype("Sparse[float]")}))
    np.testing.assert_array_equal(dense.values, [[0], [0], [1.5]])


def test_polars():
    pl = library("polars")
    frame = pl.DataFrame(
        {"b": [1, 2, 5], "a": [Decimal("0.5"), Decimal("1.5"), Decimal("3.0")], "c": ["p", "q", "r"]}
    )
    found = read_frame(frame, columns=["b", "a"])
    np.testing.assert_array_equal(found.values, [[1, 0.5], [2, 1.5], [5, 3.0]])
    np.testing.assert_array_equal(read_rows(frame, ("a", "b")), found.values[:, ::-1])
    assert "row 1, column 'c': 'p' is text" in refusal(frame) and refusal(frame).endswith(
        "columns=['b', 'a']"
    )
    assert "make the column numbers, as .cast(float)" in refusal(pl.DataFrame({"n": ["1", "2"]}))
    for column in (pl.Series(["a", "b"], dtype=pl.Categorical), pl.Series([DATE] * 2),
                   pl.Series([True, None]), pl.Series([[1], [2, 3]]),
                   pl.Series([datetime.time(1)] * 2)):  # fmt: skip
        assert "column 'k': " in refusal(pl.DataFrame({"x": [1.0, 2.0], "k": column}))
    assert "has 1 row with values that are missing" in refusal(pl.DataFrame({"n": [1, None, 3]}))
    assert "give its collect()" in refusal(frame.lazy())
    assert read_frame(pl.Series("h", [1, 2, 5])).names == ("h",) and "no columns" in refusal(pl.DataFrame())


def test_pyarrow():
    pa = library("pyarrow")
    table = pa.table({"b": [1, 2, 5], "a": [0.5, 1.5, 3.0], "c": ["p", "q", "r"]})
    found = read_frame(table, columns=["b", "a"])
    np.testing.assert_array_equal(found.values, [[1, 0.5], [2, 1.5], [5, 3.0]])
    np.testing.assert_array_equal(read_rows(table, ("a", "b")), found.values[:, ::-1])
    assert "row 1, column 'c': 'p' is text" in refusal(table)
    for column in (pa.array(["a", "b"]).dictionary_encode(), pa.array([DATE] * 2), pa.array([True, None])):
        assert "column 'k': " in refusal(pa.table({"x": [1.0, 2.0], "k": column}))
    twice = pa.Table.from_arrays([pa.array([1.5, -3.25]), pa.array([2.0, 4e3])], names=["a", "a"])
    np.testing.assert_array_equal(read_frame(twice).values, X)
    for gap in (
        pa.table({"n": [1, None, 3]}),
        pa.RecordBatch.from_pydict({"n": [1, None, 3]}),
        pa.array([1, None, 3]),
    ):
        np.testing.assert_array_equal(read_frame(gap, drop_nonfinite=True).values, [[1], [3]])
    assert "pyarrow.table(data)" in refusal(table.to_reader())


def test_no_library_of_frames_is_imported():
    module = importlib.import_module("minigan.training.frames")
    assert not {"pandas", "polars", "pyarrow", "narwhals"} & set(vars(module))


def test_labels_that_are_called_as_a_feature_are_refused():
    for names in ({"label": [0.5, 1.0, 2.0]}, {"a": [0.5, 1.0, 2.0], "label": [1.0, 2.0, 3.5]}):
        with pytest.raises(DataError, match="labels are called 'label', and so is a feature.* another name"):
            read_frame(names, y=["u", "v", "u"])

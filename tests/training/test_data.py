"""Reading data sets: the right numbers or one sentence with the exact line, for every form and fault."""

import os
import random
import tracemalloc

import numpy as np
import pytest

from minigan.errors import DataError
from minigan.training import data as data_module
from minigan.training import text_table
from minigan.training.data import location_scale, read_data
from minigan.training.text_table import MAX_LINE


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


@pytest.mark.rows(
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
        "# made by hand\n# today\n\n1.5,2\n   \n-3.25,4e3\n\n",
        ' "x", "y"\n"1.5","2"\n-3.25,"4e3"\n',
        '"1,5";2\n"-3,25";4e3\n',
        " 1.5 , 2 \n -3.25 ,\t4e3\n".replace("\t", " "),
    ],
)
def test_text_forms_are_read(read, text):
    np.testing.assert_array_equal(read(text).values, TABLE)


@pytest.mark.rows("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
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


@pytest.mark.rows(
    ("text", "line", "shown"),
    [
        ("1\n2\nabc\n4\n", 3, "'abc'"),
        ("# c\nx\n1\n\n1.2.3\n", 5, "'1.2.3'"),
        ("1,2\n3\n", 2, "'3'"),
        ("1,2\n3,4\n5,6,7\n", 3, "'5,6,7'"),
        ("x,y\r\n1,2\r\n3;4\r\n", 3, "'3;4'"),
        ("v\n1,5\n2,5\n", 2, "decimal comma needs ';'"),
        ("1;2\n1,5;2\n1.5;2\n", 3, "'.'"),
        ("1;2\n1,234.5;2\n", 2, "thousands"),
        ("1,2\n1.O,4\n", 2, "'1.O'"),
        ("1\n1_0\n", 2, "'1_0'"),
        ("1\n2\n0x10\n", 3, "'0x10'"),
        ('1\n"2\n3,"\n', 2, "quotes"),
        ("1\n2\n" + "9" * (MAX_LINE + 1) + "\n", 3, "more than"),
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


@pytest.mark.rows("text", ["", "\n\n", "# only a comment\n", b"\xef\xbb\xbf"])
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


@pytest.mark.rows(
    ("columns", "what"),
    [
        (["velocty"], "did you mean 'velocity'"),
        ([2], "has 2 columns, received index 2"),
        ([-1], "received index -1"),
        ([0, 0], "each column once"),
        (["0:3"], "one by one"),
        (["-1"], "counted from 0, from the left"),
        (["1-3"], "one by one"),
        (["*"], "leave columns out"),
        (["[a", "b]"], "without brackets"),
        ([], "at least one"),
    ],
)
def test_unknown_columns_are_refused(refused, columns, what):
    assert what in refused("velocity,error\n1,2\n3,4\n", columns=columns)


def test_names_need_a_header_and_must_be_unique(refused):
    assert "no header" in refused("1,2\n3,4\n", columns=["x0"])
    assert "no header" in refused(np.ones((2, 2)), "a.npy", columns=["x0"])
    assert "2 columns named 'a'" in refused("a,a\n1,2\n3,4\n", columns=["a"])


def test_a_name_is_found_in_any_case_where_that_leaves_one(read, refused):
    for asked in ("b", "B ", "B"):
        assert read("a,B\n1,2\n3,4\n", columns=[asked]).names == ("B",)
    assert read("b,B\n1,2\n3,4\n", columns=["B"]).names == ("B",)
    assert "2 columns named 'BB'" in refused("bb,Bb\n1,2\n3,4\n", columns=["BB"])


def test_a_number_that_is_the_index_of_one_column_and_the_name_of_another_is_refused(read, refused):
    message = refused("b,0\n1,2\n3,4\n", columns=[0])
    assert "'b', number 0 from 0, and 0, number 1" in message and "--set 'columns=[\"0\"]'" in message
    assert read("b,0\n1,2\n3,4\n", columns=["0"]).names == ("0",)
    assert read("0,b\n1.5,2\n3,4\n", columns=[0]).names == ("0",)


# What the first line is


ROWS = np.random.default_rng(7).normal(50, 1, (60, 2)).round(4)
BODY = "".join(f"{x},{y}\n" for x, y in ROWS.tolist())


def noted(data, *parts):
    return any(all(part in note for part in parts) for note in data.notes)


@pytest.mark.rows(
    ("first", "names"),
    [
        ("RI,Na", ("RI", "Na")),
        ("1935,cost", ("1935", "cost")),
        ("nan,y", ("nan", "y")),
        ("inf,1e5x", ("inf", "1e5x")),
        ("2020-01-01,2020-02-01", ("2020-01-01", "2020-02-01")),
        ("True,False", ("True", "False")),
        ("#x,y", ("x", "y")),
        ("# x, y", ("x", "y")),
        ("# made by hand\n#\n# x, y", ("x", "y")),
        ("#,HP", ("#", "HP")),
        ("sep=,\nx,y", ("x", "y")),
        ("0,1", ("0", "1")),
        ("1,2", ("1", "2")),
        ("2001,2002", ("2001", "2002")),
    ],
)
def test_a_header_is_known_by_text_or_by_counting(read, first, names):
    data = read(f"{first}\n{BODY}")
    np.testing.assert_array_equal(data.values, ROWS)
    assert data.names == names and noted(data, "was taken as a header")
    counts = not any(c.isalpha() or c in "#-" for c in first)
    assert noted(data, "header=false") == counts


@pytest.mark.rows("first", ["2001,2005", "600,2", "-3,1e9", "2001,50.5", "50.5,-900"])
def test_a_first_row_unlike_the_others_is_noted(read, first):
    data = read(f"{first}\n{BODY}")
    assert len(data.values) == 61 and noted(data, first, "unlike", "header=true")
    data = read(f"{first}\n{BODY}", header=True)
    assert len(data.values) == 60 and data.names == tuple(first.split(","))


def test_one_column_begins_with_its_name_or_not(read):
    column = "".join(f"{x}\n" for x in ROWS[:, 0])
    assert read("0\n" + column).names == ("0",)
    assert noted(read("7\n" + column), "'7'", "header=true")
    assert noted(read("0\n" + "".join(f"{x - 50:.4f}\n" for x in ROWS[:, 0])), "'0'", "header=true")
    assert read("50\n" + column).notes == ()


def test_a_first_line_that_counts_with_fractions_is_a_row_with_a_note(read):
    """A data frame whose columns are called by floats has it, and so may data."""
    assert noted(
        read("0.0,1.0\n" + "".join(f"{a - 50:.3f},{b:.3f}\n" for a, b in ROWS[:, :2])), "header=true"
    )
    assert read("0.5,1.5\n" + "".join(f"{a - 50:.3f},{b - 50:.3f}\n" for a, b in ROWS[:, :2])).notes == ()


@pytest.mark.parametrize("first", ["0,1", "1,2", "5,6"])
def test_integers_that_count_among_their_like_are_a_row(read, first):
    rows = "".join(f"{k % 7},{k * k % 11}\n" for k in range(60))
    data = read(f"{first}\n{rows}")
    assert len(data.values) == 61 and noted(data, f"'{first}'", "row", "header=true") == (first != "5,6")


@pytest.mark.rows("rows", ["1.5,2\n3,4.5\n", "3,7\n4,1\n5,9\n"])
@pytest.mark.rows("first", ["0,1", "1,2"])
def test_a_first_line_that_counts_above_few_rows_is_noted(read, first, rows):
    data = read(f"{first}\n{rows}")
    assert len(data.values) == rows.count("\n") + 1 and noted(data, f"'{first}'", "row", "header=true")
    assert read(f"{first}\n{rows}", header=True).names == tuple(first.split(","))
    assert noted(read("0\n1.5\n2.5\n"), "header=true") and not noted(read("0\n1\n3\n"), "header")
    assert not noted(read(f"{first}\n{rows}", header=False), "header")


def test_the_setting_says_what_the_first_line_is(read, refused):
    assert read(f"0,1\n{BODY}", header=False).values.shape == (61, 2)
    assert read(f"50.1,50.2\n{BODY}", header=True).names == ("50.1", "50.2")
    assert "line 1" in refused(f"x,y\n{BODY}", header=False)
    assert "no header" in refused(ROWS, "a.npy", header=True)


def test_a_first_row_with_text_beside_numbers_is_a_header_with_a_note(read):
    flowers = "5.1,3.5,setosa\n4.9,3.0,setosa\n4.7,3.2,virginica\n"
    assert noted(read(flowers, columns=[0, 1]), "looks like the lines below", "header=false")
    assert read(flowers, columns=[0, 1], header=False).values.shape == (3, 2)


def test_a_header_parted_otherwise_than_the_rows_has_its_names(read):
    rows = "".join(f"{x},{y},{x + y}\n" for x, y in ROWS.tolist())
    for head in ("a,b,c", "a;b;c", "a\tb\tc", "a, b, c", "a; b; c"):
        for mark in (",", ";", "\t", " "):
            for width in (3, 2):
                lines = [line.rsplit(",", 3 - width)[0].replace(",", mark) for line in rows.splitlines()]
                name = head[: head.index("c")].rstrip(" ,;\t") if width == 2 else head
                data = read("\n".join([name, *lines]))
                assert data.names == ("a", "b", "c")[:width] and data.values.shape == (60, width), (
                    name,
                    mark,
                )


def test_an_integer_that_is_no_index_is_a_name(read):
    np.testing.assert_array_equal(read(f"2001,2002\n{BODY}", columns=[2002]).values, ROWS[:, 1:])


def test_comments_stand_above_the_first_line_only(read, refused):
    assert noted(read("# by hand\n# of today\n\nx,y\n1,2\n3,4\n"), "2 lines", "skipped")
    for text in ("x,y\n1,2\n#N/A,7\n3,4\n", "#N/A,7\n1,2\n3,4\n", "x,y\n1,2\n#3,4\n5,6\n"):
        assert "is not a number" in refused(text)
    message = refused("x,y\n1,2\n# half way\n3,4\n")
    assert "line 3" in message and "comments stand above" in message


def test_a_row_with_an_error_of_any_spreadsheet_is_no_header_and_no_comment(read, refused):
    errors = ("#NV", "#VALEUR!", "#¡VALOR!", "#WERT!", "#N/D", "#SAKNAS!", "#YOK", "#ЗНАЧ!", "#GETTING_DATA",
              "#DIV/0!", "#NAME?", "######", "#nv")  # fmt: skip
    for error in errors:
        for first in (f"{error},7", f"7,{error}", f"{error},{error}", f'"{error}","7"', f"{error},7\n# y"):
            message = refused(f"{first}\n{BODY}")
            assert "line 1" in message and f"'{error}'" in message and "header=true" in message
    assert "line 2" in refused(f"# by hand\n#NV;7,5\n{BODY.replace(',', ';')}")  # the first is a comment
    assert "'#VALUE!'" in refused("#VALUE!\n1.5\n2.5\n") and "'Err:502'" in refused("a\n1\nErr:502\n3\n")
    assert read("#x\n1.5\n2.5\n").names == ("x",)  # one column may have such a name
    assert read(f"#x,2020\n{BODY}", header=True).names == ("x", "2020")
    assert len(read(f"#1,2\n#------\n#\n{BODY}").values) == 60  # commented out, and ruled


def test_comments_of_other_programs_are_skipped_and_counted(read, refused):
    for mark in ("%", "!", "//"):
        data = read(f"{mark} of today, by hand\n{mark}\n{BODY}")
        np.testing.assert_array_equal(data.values, ROWS)
        assert noted(data, "2 lines of comment were skipped") and data.names == ("x0", "x1")
        assert read(f"{mark} a, b\n{BODY}").names == ("a", "b")
        assert read(f"{mark}a,b\n{BODY}").names == (f"{mark}a", "b")  # a name may begin so
    assert noted(read(f"# by hand\n{BODY}"), "1 line of comment was skipped")
    assert "but for comments" in refused("# nothing\n% else\n")
    assert "is no header, remove it or begin it with '#'" in refused(f"Voltmeter 7\n{BODY}")
    assert "remove line 2 if it has units" in refused(f"t,v\ns,mV\n{BODY}")
    for title in ("Voltmeter 7\nt v\n", "Voltmeter 7\n\nt,v\n", "A title\n\n\nt,v\n"):
        assert ", line 1 if that is a title" in refused(f"{title}{BODY}"), title


def test_the_mark_that_excel_says_is_taken_and_no_header(read):
    rows = BODY.replace(",", ";")
    for head in ("sep=;\n", '"sep=;"\n', "sep=\t\n"):
        data = read(head + rows.replace(";", "\t" if "\t" in head else ";"))
        np.testing.assert_array_equal(data.values, ROWS)
        assert data.names == ("x0", "x1") and data.notes == ()
    np.testing.assert_array_equal(read("sep=;\n1,5\n2,25\n").values, [[1.5], [2.25]])


# Columns beside those that are wanted


@pytest.mark.rows(
    "other", ["General Motors", "?", "2024-01-31", "a; b", '"x, y"', "", "1_0", "#N/A", '"6 """']
)
def test_columns_that_are_not_asked_for_may_hold_anything(read, other):
    rows = "".join(f"{x},{other},{y}\n" for x, y in ROWS.tolist())
    np.testing.assert_array_equal(read("a,b,c\n" + rows, columns=["a", "c"]).values, ROWS)


def test_a_refusal_of_text_names_the_columns_that_are_numbers(read, refused):
    rows = "".join(f"{x},Ford,{y},red\n" for x, y in ROWS.tolist())
    message = refused("invest,firm,value,colour\n" + rows)
    assert "'firm'" in message and message.endswith("--set columns=invest,value")
    assert refused("an investment,firm,value,colour\n" + rows).endswith("--set columns=0,2")
    assert refused("2020-01-01,1\n2020-01-02,2\n" + rows[:0], columns=None).endswith("--set columns=1")
    assert "columns=" not in refused("a,b\n1,2\n3,4\n5,x\n")  # one wrong cell


def test_an_index_is_noted_with_the_way_to_leave_it_out(read):
    for head, start in ((",a,b", 0), (",0,1", 0), ('"","a","b"', 1), ("id,a,b", 7)):
        rows = "".join(f"{start + k},{x},{y}\n" for k, (x, y) in enumerate(ROWS.tolist()))
        data = read(f"{head}\n{rows}")
        names = "columns=1,2" if head == ",0,1" else "columns=a,b"
        assert data.values.shape == (60, 3) and noted(data, f"counts the rows from {start}", names), head
    assert not noted(read(f"a,b\n{BODY}"), "counts")


@pytest.mark.rows("name", ["", '""', "Unnamed: 0"])
@pytest.mark.rows("order", ["gaps", "shuffled", "descending", "counted"])
def test_an_index_without_a_name_is_noted_in_any_order(read, name, order):
    index = {
        "gaps": np.arange(60) + (np.arange(60) > 30),
        "shuffled": np.random.default_rng(0).permutation(60),
        "descending": np.arange(60)[::-1],
        "counted": np.arange(60),
    }[order]
    rows = [f"{k},{x},{y}\n" for k, (x, y) in zip(index, ROWS.tolist(), strict=True)]
    rows[7] = f"{index[7]},,1.5\n"
    data = read(f"{name},a,b\n" + "".join(rows), drop_nonfinite=True)
    assert data.values.shape == (59, 3) and noted(data, "as an index does", "columns=a,b")
    if order != "counted":
        assert not noted(read("age,a,b\n" + "".join(rows), drop_nonfinite=True), "index")
        halves = "".join(f"{x},{k}.5,{y}\n" for k, (x, y) in zip(index, ROWS.tolist(), strict=True))
        assert not noted(read(f"{name},a,b\n{halves}"), "index")


def test_infinite_values_beside_an_index_give_no_warning(read):
    data = read("a,b\ninf,1\ninf,2\n1,3\n2,5\n", drop_nonfinite=True)
    assert len(data.values) == 2 and not noted(data, "index")


def test_the_names_of_rows_that_r_writes_have_no_name(read, refused):
    rows = "".join(f'"{k}" {x} {y}\n' for k, (x, y) in enumerate(ROWS.tolist(), 1))
    assert read('"a" "b"\n' + rows).names == ("x0", "a", "b")
    assert refused('"a" "b"\n' + rows.replace('"1"', '"Mazda RX4"')).count("Mazda RX4")
    np.testing.assert_array_equal(read('"a" "b"\n' + rows, columns=["a", "b"]).values, ROWS)


def test_an_empty_column_is_left_out_if_it_has_no_name_and_named_otherwise(read, refused):
    rows = "".join(f"{x},{y},\n" for x, y in ROWS.tolist())
    for head in ("a,b,\n", "a,b\n", ""):
        data = read(head + rows)
        np.testing.assert_array_equal(data.values, ROWS)
        assert noted(data, "column 2", "has neither", "was left out")
    assert noted(read("a,b,,\n1,2,,\n3,4,,\n"), "columns 2, 3", "have neither", "were left out")
    message = refused("a,b,c\n" + rows)
    assert "'c'" in message and "no value in 60 rows" in message and "columns=a,b" in message
    assert "nor has any other" in refused(",\n,\n,\n")
    assert "columns=a" in refused("a,b,c\n1,,\n2,,\n")
    assert "where line 1 was taken as a header: x, y" in refused("x,y\n1,2\n")
    assert "'x1'" in refused(np.stack([ROWS[:, 0], np.full(60, np.nan)], 1), "a.npy")
    assert "('b')" in refused("a,b\n1,\n2,3\n")


def test_a_column_of_times_is_noted_as_an_index(read):
    for start, step in ((1.7e12, 1000), (0, 0.001), (2000, 1 / 12), (-5, 0.333)):
        rows = "".join(f"{start + step * k:.12g},{y}\n" for k, (_, y) in enumerate(ROWS.tolist()))
        assert noted(read("t,v\n" + rows), "'t'", "rises in equal steps", "--set columns=v")
        assert not noted(read("t,v\n" + "".join(sorted(rows.splitlines(True))[::-7])), "equal steps")


def test_other_formats_are_known_by_their_first_bytes(refused):
    for begin, format_ in data_module.FORMATS.items():
        for name in ("a.csv", "a.npy"):
            if (begin, name) != (data_module.NPY, "a.npy"):
                assert f"is {format_} by its first bytes" in refused(begin + BODY.encode(), name)
    for first in (b"\0\0\0001,2", b"x,\0y", "x,y".encode("utf-16-le")):  # no header, and no row that is lost
        assert "line 1" in refused(first + BODY.encode()) and "NUL" in refused(first + BODY.encode())


# What could mean two things


@pytest.mark.rows("mark", ["\t", ";", "|"])
@pytest.mark.rows("rows", [("12,345", "999", "1,000"), ("1,234", "5,678"), ("-1,234", "12")])
def test_marks_for_thousands_are_never_guessed(refused, mark, rows):
    message = refused("a" + mark + "b\n" + "".join(f"{row}{mark}{k}\n" for k, row in enumerate(rows)))
    assert rows[0] in message and "thousands" in message


@pytest.mark.rows("proof", ["0,5", "1,5", "0,123", "1,2345", "1234,567", "1,5e3"])
@pytest.mark.rows("last", [True, False])
def test_a_decimal_comma_is_known_by_one_number_that_is_none_of_thousands(read, proof, last):
    rows = ["12,345", proof] if last else [proof, "12,345"]
    values = read("".join(f"{row};{k}\n" for k, row in enumerate(rows))).values[:, 0]
    assert 12.345 in values and float(proof.replace(",", ".")) in values


@pytest.mark.rows("rows", [("960", "2,080", "641"), ("0960", "2,080", "1234")])
@pytest.mark.rows("other", ["2002", "0,5", "1,25"])
@pytest.mark.rows("mark", ["\t", ";"])
def test_no_other_column_and_no_large_number_settles_a_mark_for_thousands(refused, rows, other, mark):
    message = refused(
        "year" + mark + "pop\n" + "".join(f"{k}{other}{mark}{row}\n" for k, row in enumerate(rows))
    )
    assert "line 3: '2,080'" in message and "without marks for thousands" in message
    if mark == ";":
        assert "'2.080'" in refused(_points(rows, other, mark))


def _points(rows, other, mark):
    return "".join(f"{k}{other}{mark}{row}\n" for k, row in enumerate(rows)).replace(",", ".")


@pytest.mark.parametrize("mark", ["\t", ";"])
def test_marks_for_thousands_late_in_a_long_file_are_seen(read, refused, mark):
    rows = "".join(f"{k},5{mark}{k}\n" for k in range(60000))
    assert len(read(rows).values) == 60000
    assert "'2,080'" in refused(rows + f"7,5{mark}2,080\n")


def test_one_column_with_commas_and_without_a_header_is_noted(read, refused):
    for rows in ("12,345\n1,234\n9,876\n", "0,5\n1,25\n", "-3,1\n4,15\n"):
        assert noted(read(rows), rows.split()[0], "read as 2 columns", "if it is one number")
    for rows in ("12 345\n1 234\n", "pop\n12 345\n1 234\n"):
        assert noted(read(rows), "12 345", "read as 2 columns", "if it is one number")
    assert noted(read("1 234 567\n9 876 540\n"), "read as 3 columns", "if it is one number")
    for rows in ("12 34\n1 234\n", "a b\n12 345\n1 234\n", "1.5 234\n2 345\n"):
        assert not noted(read(rows), "one number")
    for blank in "\u00a0\u2007\u2009\u202f":  # as text sets thousands, and no columns
        for rows in ("12{}345\n1{}234\n", "pop\n12{}345\n999\n", "a b\n-1{}234.5 3\n1{}000 4\n"):
            assert "parts thousands" in refused(rows.replace("{}", blank))
        assert read(f"1.25{blank}0.5\n2.5{blank}1.5\n").values.shape == (2, 2)
    assert "no blank for thousands" in refused("pop\n1 234\n999\n")
    for rows in ("a,b\n1,2\n3,4\n", "1.5,2\n3,4\n", "1, 2\n3, 4\n", "1,2,3\n3,4,5\n", "1;2\n3;4\n"):
        assert not noted(read(rows), "one number")
    for rows in (
        "pop\n1,234\n12,345\n",
        "city,pop\n1,1,234\n2,3,400\n",
        "1,234\n999\n",
        "1,234\n1,234,567\n",
    ):
        assert "none may stand for thousands" in refused(rows)
    assert "a text with a comma needs quotes" in refused("a,b\n1,2\nBonn, West,2\n")


def test_points_for_thousands_beside_semicolons_are_refused_and_decimals_are_not(read, refused):
    assert "thousands" in refused("a;b\n12.345;1\n999;2\n")
    np.testing.assert_array_equal(read("12.345;1.222\n0.5;3.111\n").values[:, 0], [12.345, 0.5])
    np.testing.assert_array_equal(read("12.345;1.222\n10.501;3.111\n").values[:, 0], [12.345, 10.501])
    np.testing.assert_array_equal(read("12.345\t1\n999\t2\n").values[:, 0], [12.345, 999])


@pytest.mark.rows(
    ("cell", "advice"),
    [
        ('"12,345"', "thousands"), ("1'234", "thousands"), ("1\u202f234", "thousands"),
        ('"1,5"', "decimal point"), ("−5", "write '-'"), ("5%", "unit"), ("$5", "unit"), ("€1.50", "unit"),
        ("1d5", "with e"), ("1_0", "'_'"), ("False", "1 and 0"), ("#DIV/0!", "spreadsheet"), ("3\0", "NUL"),
        ("5 mV", "unit"), ("2024-01-31", "times"), ("31.1.2024", "times"), ("12:30", "times"),
        ("<0.01", "alone"),
        ("1.5 ± 0.1", "alone"), ("[5", "brackets"), ("5)", "brackets"), ("=A1+1", "formulas"),
        ("0x10", "correct"), ("1+2j", "correct"), ("-", "empty"),
        ("..", "empty"), ("n.a.", "empty"), ("'5'", 'quotes are "'),
    ],
)  # fmt: skip
def test_the_cause_is_said_where_a_cell_is_no_number(refused, cell, advice):
    message = refused(f"a,b\n1,2\n3,{cell}\n4,5\n6,7\n")
    assert "line 3, in column 'b'" in message and advice in message


def test_latin_1_and_marks_of_every_kind_are_read(read):
    data = read("Größe;µ\n1,5;2\n-3,25;4e3\n".encode("latin-1"))
    np.testing.assert_array_equal(data.values, TABLE)
    assert data.names == ("Größe", "µ") and noted(data, "Latin-1")
    np.testing.assert_array_equal(read("a|b\n1.5|2\n-3.25|4e3\n").values, TABLE)
    assert read("ä" * 40000 + ",y\n1,2\n3,4\n").values.shape == (2, 2)  # cut in a letter


def test_a_mark_within_texts_does_not_part_columns(read):
    text = "id,comment,value\n1,foo; bar,3.5\n2,baz,4\n4,a;b,5\n"
    np.testing.assert_array_equal(read(text, columns=["id", "value"]).values, [[1, 3.5], [2, 4], [4, 5]])


# The quick parser and the careful one


@pytest.mark.parametrize("text", [",", ";", "\t", " ", "  ", ", ", "|"])
def test_both_parsers_read_the_same_bits(read, monkeypatch, text):
    rng = np.random.default_rng(5)
    values = rng.normal(size=(400, 3)) * 10.0 ** rng.integers(-300, 300, (400, 3))
    values[:3] = [[0.0, -0.0, 5e-324], [1.7e308, -1.0, 2.0**53 + 2], [-1e22, 123456789012345678, 0.1]]
    lines = [text.join(map(repr, row)) for row in values.tolist()]
    lines[1] = lines[1].replace("-1.0", "-0")
    content = "\n".join(lines)
    quick = read(content).values
    monkeypatch.setattr(text_table._Rows, "_quickly", lambda self, block: None)
    assert quick.tobytes() == read(content).values.tobytes()
    values[1, 1] = -0.0
    assert quick.tobytes() == values.tobytes()


def test_the_quick_parser_is_the_one_that_reads_plain_files(read, monkeypatch):
    monkeypatch.setattr(text_table._Rows, "_carefully", None)
    np.testing.assert_array_equal(read(f"a,b\n{BODY}").values, ROWS)
    np.testing.assert_array_equal(read(BODY.replace(",", "  ")).values, ROWS)
    for other in ("Ford", '"Ford, T"', "", "nan", "1_0"):
        text = "".join(f"{x},{other},{y}\n" for x, y in ROWS.tolist())
        np.testing.assert_array_equal(read(text, columns=[2, 0], header=False).values, ROWS[:, ::-1])


def test_decimal_commas_beside_texts_with_points_are_read(read):
    text = "n;v\n" + "".join(f"St. Louis;{x}\n" for x in ROWS[:, 0]).replace(".", ",").replace("St,", "St.")
    np.testing.assert_array_equal(read(text, columns=["v"]).values, ROWS[:, :1])


@pytest.mark.rows("wrong", ["1,2,3", "4", "1;2", "null,2", "[1],2", '"1",x', "true,1", "1,2 3", ",,", "{},1"])
def test_the_quick_parser_takes_nothing_that_the_careful_one_refuses(refused, wrong):
    assert "line 31" in refused(
        "".join(f"{line}\n" for line in [*BODY.split()[:30], wrong, *BODY.split()[31:]])
    ) or (wrong == "null,2")


def test_lines_are_counted_across_blocks(read, refused, monkeypatch):
    monkeypatch.setattr(text_table, "BLOCK", 64)
    np.testing.assert_array_equal(read(f"a,b\r\n{BODY}").values, ROWS)
    assert "line 42" in refused(f"a,b\n\n{BODY}".replace(BODY.split()[39], "1,x"))


# NPY that is read


@pytest.mark.rows("dtype", ["<f8", ">f8", "<f4", ">f4", "<f2", ">f2"])
@pytest.mark.rows("order", ["C", "F"])
def test_float_arrays_of_any_size_byte_order_and_layout_are_read_equal(read, dtype, order):
    values = np.array([[1.5, 2], [-3.25, 4], [0, -1]]).astype(dtype, order=order)
    data = read(values, "a.npy")
    np.testing.assert_array_equal(data.values, values.astype(np.float64))
    assert data.notes == ()


@pytest.mark.rows("dtype", ["i1", "u1", "<i2", ">i4", "<i8", ">u8"])
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


@pytest.mark.rows(
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


@pytest.mark.rows(
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

"""Where the values of fused code lie: pieces of one memory, each as long as it is needed, and names of C.

What belongs here: what GPUs and CPUs have in common of that. Which values need a place is in stages.py.
"""

import math
import re


def bounds(array):
    """The first byte of the memory that an array looks into, and the one after its last."""
    whole = array if array.base is None else array.base
    first = whole.__array_interface__["data"][0]
    return first, first + whole.nbytes


def padded(n):
    """How far rows of n elements lie apart in shared memory, so that a warp reads several without waiting.

    Rows begin at 16 bytes where n is a multiple of 4, and an odd number of those apart; else in other banks.
    """
    if n < 2:
        return n
    return n + 4 * (n // 4 % 2 == 0) if n % 4 == 0 else n | 1


def arrange(wishes, limit=math.inf):
    """Places for pieces of memory, each needed for some time; those that fit in no place are left out.

    wishes  [(key, length, first time, last time)], the most urgent first
    limit   the length of all the memory

    Returns {key: offset} and the length that is used.
    """
    placed, offsets = [], {}
    for key, length, first, last in wishes:
        offset = 0
        for low, high, begin, end in sorted(placed):
            if begin <= last and first <= end and low < offset + length and offset < high:
                offset = high
        if offset + length <= limit:
            placed.append((offset, offset + length, first, last))
            offsets[key] = offset
    return offsets, max((high for _, high, _, _ in placed), default=0)


def names_of(externals):
    """{external: its name in C}."""
    names = {}
    for e in externals:
        name = re.sub(r"^(?=\d)|[^A-Za-z0-9]", "_", e.name) + "_"
        names[e] = f"{name}{len(names)}" if name in names.values() else name
    return names

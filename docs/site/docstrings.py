"""The docstrings of the house as reST: fields, tables, code, and text in which * and _ mean themselves.

A paragraph is text; lines in which an explanation comes after two spaces are a list of terms; indented lines
are code; Shapes, Units, Raises, Source and Returns are fields; ">>>" begins an example.
"""

import re

FIELDS = ("Shapes", "Units", "Raises", "Source", "Sources", "Returns", "Bias", "Empty bins")
FIELD = re.compile(rf"^({'|'.join(FIELDS)}):\s+(.*)$")
RULE = re.compile(r"=[= ]+")  # above and below a simple table
TERM = re.compile(r"^(\S(?:.*?\S)?)\s{2,}(\S.*)$")
AT_END = re.compile(rf"\s{{2,}}((?:{'|'.join(FIELDS)}):\s+.*)$")
MARKED = re.compile(r"(``[^`]+``|`[^`]+`|\bT\d+\b)")
TAG = re.compile(r"T(\d+)")


def inline(text: str) -> str:
    """Text in which only code and the tags of the theory are marked up."""
    out = ""
    for part in MARKED.split(text):
        if part.startswith("`"):
            piece = f"``{part.strip('`').strip()}``"
        elif TAG.fullmatch(part):
            piece = f":ref:`{part} <{part.lower()}>`"
        else:
            part = re.sub(r"([\\*`|])", r"\\\1", part)
            out += re.sub(r"(?<=\w)_(?=\W|$)", r"\\_", part)
            continue
        # Markup begins after a space and ends before one; elsewhere an escaped one, which does not show.
        before = "" if not out or out[-1].isspace() else "\\ "
        out += f"{before}{piece}\\ "
    return re.sub(r"\\ (?=\s|$)", "", out)


def blocks(lines: list[str]) -> list[list[str]]:
    """The lines between empty ones."""
    found: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [block for block in found if block]


def entries(block: list[str]) -> list[tuple[str, str]] | None:
    """(term, explanation) of a block that is a list of terms; an indented line goes on with the last."""
    found: list[tuple[str, str]] = []
    column = None
    for line in block:
        match = TERM.match(line)
        if match and (column is None or match.start(2) == column):
            column = match.start(2)
            found.append((match[1], match[2]))
        elif found and line.startswith("  "):
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
        else:
            return None
    return found


def of_block(block: list[str]) -> list[str]:
    """One block as reST."""
    block = [line for line in block if not RULE.fullmatch(line)] or [""]
    if block[0].lstrip().startswith(">>>"):
        return [".. code-block:: pycon", "", *(f"    {line}" for line in block), ""]
    if FIELD.match(block[0]):
        out: list[str] = []
        for line in block:
            match = FIELD.match(line)
            if match:
                out.append(f":{match[1]}: {match[2]}")
            else:
                out[-1] += " — " if " – " in line and " – " in out[-1] else " "
                out[-1] += line.strip()
        return [*(inline_field(line) for line in out), ""]
    if all(line.startswith("    ") for line in block):
        return [".. code-block:: python", "", *(f"    {line[4:]}" for line in block), ""]
    listed = None if AT_END.search(block[-1]) else entries(block)
    if listed:
        return [
            text for term, said in listed for text in (f"``{term.replace('`', '')}``", f"    {inline(said)}")
        ] + [""]
    text, ending = " ".join(line.strip() for line in block[:-1]), block[-1]
    match = AT_END.search(ending)
    field = of_block([match[1]]) if match else []
    ending = ending[: match.start()] if match else ending
    return [inline(f"{text} {ending.strip()}".strip()), "", *field]


def inline_field(line: str) -> str:
    """A field, the text in it marked up."""
    name, text = line[1:].split(":", 1)
    return f":{name}: {inline(text.strip())}"


def to_rest(lines: list[str]) -> list[str]:
    """A docstring, dedented, as reST."""
    out: list[str] = []
    pending: list[list[str]] = []
    for block in blocks(lines):
        if pending and block[0].startswith("    ") and pending[-1][0].lstrip().startswith(">>>"):
            pending[-1] += ["", *block]
        else:
            pending.append(block)
    for block in pending:
        rest = of_block(block)
        if out and out[-1] == "" and rest[0].startswith(":") and len(out) > 1 and out[-2].startswith(":"):
            out.pop()
        out += rest
    return out

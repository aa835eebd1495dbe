"""A kernel's machine code, executed by a model of one multiprocessor that counts what its warps issue.

Every thread has registers, predicates and a program counter; of all that run, those at the lowest address
execute next, so that threads of a warp meet again after a branch as hardware makes them meet. An instruction
counts once for each warp that has a thread there. Float32 is computed as NumPy computes it, denormals and
the last bit of MUFU's functions apart: what is counted is exact, and what is computed can be held against
another execution of the same kernel. Nothing here says how long anything takes.

Source:  NVIDIA, CUDA Binary Utilities, "Instruction Set Reference"; modifiers as ptxas uses them
"""

import re
from collections import Counter

import numpy as np

LANES, BANKS = 32, 32
GLOBAL = 1 << 20  # where global memory begins
PARAMETERS = {"sm_80": 0x160, "sm_90": 0x210, "sm_100": 0x380}  # of a kernel, in bank 0 of the constants
STACK = {"sm_80": 0x28, "sm_90": 0x28, "sm_100": 0x37C}
LINE = re.compile(r"/\*([0-9a-f]+)\*/\s+(?:@(!?)(U?P[0-9T]+)\s+)?([A-Z0-9_.]+)\s*(.*?)\s*(?:\(\*.*)?;")
SPLIT = re.compile(r",\s*(?![^\[(]*[\])])")
KINDS = {  # of instructions, by the beginnings of their names
    "tensor": ("HMMA",),
    "float": ("FFMA", "FADD", "FMUL", "FSETP", "FSEL", "FSET", "FMNMX", "FCHK", "DADD", "DMUL", "DFMA"),
    "special": ("MUFU", "I2F", "F2I", "I2FP", "F2F"),
    "shared": ("LDS", "STS", "SHFL"),
    "global": ("LDG", "STG", "LDL", "STL", "LDC", "ULDC", "LDCU"),
    "control": ("BRA", "BRX", "BSSY", "BSYNC", "BREAK", "BAR", "CALL", "RET", "EXIT", "NOP", "WARPSYNC"),
}  # all others: integers and moves


class UnknownInstructionError(Exception):
    """An instruction whose meaning is not written down here."""


def kind_of(name):
    """The kind of an instruction, as KINDS has them."""
    found = (k for k, names in KINDS.items() if name in names)
    return next(found, "integer")


class Instruction:
    """One line of a disassembly: address, guard (whether negated, predicate), name, modifiers, operands."""

    def __init__(self, address, negated, guard, name, operands):
        self.address, self.guard = int(address, 16), guard and (bool(negated), guard)
        self.name, *self.mods = name.split(".")
        if self.name == "HFMA2" and "MMA" in self.mods:
            self.mods.remove("MMA")
        operands = operands.replace(".reuse", "")
        self.operands = [x.strip() for x in SPLIT.split(operands)] if operands else []
        self.text = f"{name} {operands}"
        self.kind = kind_of(self.name)


def parse(text):
    """[Instruction] of a function in the disassembly that `nvdisasm -c` makes, and {label: address}."""
    found, labels, waiting = [], {}, []
    for line in text.splitlines():
        if match := LINE.search(line):
            found.append(Instruction(*match.groups()))
            labels |= dict.fromkeys(waiting, found[-1].address)
            waiting = []
        elif match := re.match(r"\s*(\.L_x_\d+|\$?[\w$]+):\s*$", line):
            waiting.append(match[1])
    return found, labels


class Warps:
    """The threads of a block, or of a whole grid where blocks share nothing, that execute one kernel.

    code       what `parse` makes
    blocks     how many there are, or the numbers of those that are executed
    constants  {bank: bytes} beside bank 0
    arguments  arrays of float32 or int32 (their copies lie in global memory) and NumPy scalars
    """

    def __init__(self, code, architecture, threads, arguments, shared=0, blocks=1, constants=None):
        (self.code, self.labels), self.architecture = code, architecture
        self.at = {line.address: k for k, line in enumerate(self.code)}
        numbers = np.arange(blocks) if isinstance(blocks, int) else np.asarray(blocks)
        self.total, self.blocks = threads * len(numbers), len(numbers)
        self.warp = np.arange(self.total) // LANES
        self.R = np.zeros((256, self.total), np.uint32)
        self.UR = np.zeros((128, self.total), np.uint32)
        self.P, self.UP = (np.zeros((8, self.total), bool) for _ in range(2))
        self.P[7] = self.UP[7] = True
        thread = np.arange(self.total) % threads
        self.special = {"SR_TID.X": thread, "SR_CTAID.X": np.repeat(numbers, threads),
                        "SR_LANEID": thread % LANES}  # fmt: skip
        self.shared = np.full((shared + 4096) // 4, 0x7FC00000, np.uint32)
        self.local = np.zeros((64, self.total), np.uint32)
        self.constants = {n: np.frombuffer(b, np.uint8).copy() for n, b in (constants or {}).items()}
        self._place(arguments, threads, int(numbers.max()) + 1)
        self.counts, self.kinds, self.waves, self.barriers = Counter(), Counter(), Counter(), 0
        self.at_count = Counter()  # {address: how often warps issued what is there}
        self.issued, self.asked, self.pieces = np.zeros((3, self.blocks), int)  # of each block
        self._made = {}

    def _place(self, arguments, threads, blocks):
        """Arguments into constants, arrays into global memory."""
        bank, at = np.zeros(4096, np.uint8), PARAMETERS[self.architecture]
        sizes = {0: threads, 12: blocks, 0x360: threads, 0x370: blocks}
        for offset, value in {**sizes, STACK[self.architecture]: 0}.items():
            bank[offset : offset + 4] = np.frombuffer(np.uint32(value).tobytes(), np.uint8)
        pieces, end, self.arrays = [], GLOBAL, []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                words = np.ascontiguousarray(argument).reshape(-1).view(np.uint32)
                value, length = np.uint64(end), -(-words.size // 64) * 64
                self.arrays.append(((end - GLOBAL) // 4, argument))
                pieces.append(np.concatenate([words, np.zeros(length - words.size, np.uint32)]))
                end += 4 * length
            else:
                value = argument
            at = -(-at // value.itemsize) * value.itemsize
            bank[at : at + value.itemsize] = np.frombuffer(value.tobytes(), np.uint8)
            at += value.itemsize
        self.memory = np.concatenate([*pieces, np.zeros(64, np.uint32)])
        self.constants[0] = bank

    def results(self):
        """The arrays among the arguments, as they are now."""
        return [
            self.memory[at : at + a.size * a.itemsize // 4].view(a.dtype).reshape(a.shape)
            for at, a in self.arrays
        ]

    # ── execution ───────────────────────────────────────────────────────────────────────────────────────

    def run(self):
        """Until all threads have left."""
        self.pc = np.full(self.total, self.code[0].address)
        self.running, self.waits = np.ones(self.total, bool), np.zeros(self.total, bool)
        starts = np.arange(0, self.total, LANES)
        with np.errstate(all="ignore"):
            while self.running.any():
                able = self.running & ~self.waits
                if not able.any():
                    self.waits[:] = False
                    self.barriers += 1
                    continue
                address = int(self.pc[able].min())
                mask = able & (self.pc == address)
                k = self.at[address]
                line = self.code[k]
                by_block = np.logical_or.reduceat(mask, starts).reshape(self.blocks, -1).sum(1)
                warps = int(by_block.sum())
                self.issued += by_block
                self.counts[line.name] += warps
                self.at_count[address] += warps
                self.kinds[line.kind] += warps
                if k + 1 < len(self.code):
                    self.pc[mask] = self.code[k + 1].address
                if line.guard:
                    mask = mask & (self._predicate(line.guard[1]) ^ line.guard[0])
                if k not in self._made:
                    self._made[k] = self._compile(line)
                self._made[k](mask)
        return self

    def _compile(self, line):
        """What an instruction does to the threads of a mask."""
        act = getattr(self, f"_{line.name.lower()}", None)
        if act is None and line.name.startswith("U"):
            act = getattr(self, f"_{line.name[1:].lower()}", None)
        if act is None:
            raise UnknownInstructionError(line.text)
        return lambda mask: act(line, mask)

    # ── operands ────────────────────────────────────────────────────────────────────────────────────────

    def _predicate(self, text):
        """The values of a predicate."""
        if text.startswith("!"):
            return ~self._predicate(text[1:])
        file, number = (self.UP, text[2:]) if text.startswith("U") else (self.P, text[1:])
        return file[7 if number == "T" else int(number)]

    def _file(self, name):
        """The registers that a name is of, and its number; None of the zero register."""
        file, number = (self.UR, name[2:]) if name.startswith("UR") else (self.R, name[1:])
        return file, None if number == "Z" else int(number)

    def _word(self, text, part=0):
        """An operand as 32 bits; part 1 is the word after it."""
        if text[0] in "-~":
            value = self._word(text[1:], part)
            return ~value if text[0] == "~" else np.uint32(0) - value
        if text[0] in "0123456789":
            value = int(text, 0)
            return np.uint32((value >> 32 * part) & 0xFFFFFFFF)
        if text[0] == "c":
            return self._constant(text, 1, part)[0]
        name, *mods = text.split(".")
        if mods and mods[0] in ("H0", "H1"):
            raise UnknownInstructionError(text)
        file, number = self._file(name)
        return np.uint32(0) if number is None else file[number + part]

    def _wide(self, text, signed=False):
        """An operand as 64 bits: of a register, a pair."""
        if text.startswith(("R", "UR")):
            low, high = self._word(text), self._word(text, 1)
            return np.uint64(low) | (np.uint64(high) << np.uint64(32))
        if text.startswith("c"):
            low, high = self._constant(text, 2)
            return np.uint64(low) | (np.uint64(high) << np.uint64(32))
        value = int(text, 0)
        return np.uint64(value & 0xFFFFFFFFFFFFFFFF)

    def _constant(self, text, count, part=0):
        """Words of a bank of constants."""
        bank, inside = re.match(r"c\[(0x\w+)\]\[(.*)\]", text).groups()
        at, bank = self._address(inside) + np.uint64(4 * part), self.constants[int(bank, 16)]
        words = bank[: bank.size // 4 * 4].view(np.uint32)
        index = (at >> np.uint64(2)).astype(np.int64)
        return [words[np.minimum(index + k, words.size - 1)] for k in range(count)]

    def _float(self, text):
        """An operand as float32."""
        if text.startswith("-"):
            return -self._float(text[1:])
        if text.startswith("|"):
            return np.abs(self._float(text.strip("|")))
        if text.startswith("+"):
            return np.float32({"+INF": np.inf, "+QNAN": np.nan}[text.strip()])
        if text.startswith(("INF", "QNAN")):
            return np.float32({"INF": np.inf, "QNAN": np.nan}[text.strip()])
        if text[0] in "0123456789" and not text.startswith("0x"):
            return np.float32(text)
        return np.asarray(self._word(text), np.uint32).view(np.float32)

    def _address(self, text):
        """The sum of what stands between the brackets, in 64 bits."""
        text, total = re.sub(r"^desc\[\w+\]\[(.*)\]$", r"\1", text), np.uint64(0)
        for term in re.findall(r"[+-]?[^+-]+", text.strip("[]")):
            name, *mods = term.lstrip("+").split(".")
            if name[0] in "0123456789-":
                total = total + np.uint64(int(name, 0) & 0xFFFFFFFFFFFFFFFF)
                continue
            if name in ("RZ", "URZ"):
                continue
            value = self._wide(name) if "64" in mods or name == "UR" else np.uint64(self._word(name))
            if "64" not in mods and not mods:  # an index may be negative
                value = np.asarray(value).astype(np.uint32).view(np.int32).astype(np.int64).view(np.uint64)
            scale = [int(m[1:]) for m in mods if re.fullmatch(r"X\d+", m)]
            total = total + value * np.uint64(scale[0] if scale else 1)
        return total

    def _set(self, text, value, mask, part=0):
        """Write 32 bits to a register."""
        file, number = self._file(text.split(".")[0])
        if number is not None:
            value = np.asarray(value)
            if value.dtype != np.uint32:
                value = value.astype(np.float32).view(np.uint32) if value.dtype.kind == "f" else value.astype(
                    np.uint32)  # fmt: skip
            np.copyto(file[number + part], value, where=mask)

    def _set_predicate(self, text, value, mask):
        file, number = (self.UP, text[2:]) if text.startswith("U") else (self.P, text[1:])
        if number != "T":
            np.copyto(file[int(number)], value, where=mask)

    def _apart(self, line):
        """Operands of an integer sum: (destination, predicates set, values, predicates read)."""
        rest, sets = line.operands[1:], []
        while re.fullmatch(r"U?P[0-9T]", rest[0]):
            sets.append(rest.pop(0))
        values = [x for x in rest if not re.fullmatch(r"!?U?P[0-9T]", x)]
        return line.operands[0], sets, values, rest[len(values) :]

    # ── moves ───────────────────────────────────────────────────────────────────────────────────────────

    def _mov(self, line, mask):
        d, a = line.operands[:2]
        if a.startswith(("`", "32@")):
            label = re.search(r"(\.L_x_\d+|\$[\w$]+)", a)
            value = np.uint32(self.labels[label[1]] if label and "32@hi" not in a else 0)
        else:
            value = self._word(a)
        self._set(d, value, mask)

    _r2ur = _mov

    def _hfma2(self, line, mask):
        d, a, b, high, low = line.operands
        if {a.lstrip("-"), b.lstrip("-")} != {"RZ"}:
            raise UnknownInstructionError(line.text)
        pair = np.array([low.strip(), high.strip()]).astype(np.float16).view(np.uint16).astype(np.uint32)
        self._set(d, pair[0] | pair[1] << np.uint32(16), mask)

    def _cs2r(self, line, mask):
        for part in range(1 if "32" in line.mods else 2):
            self._set(line.operands[0], np.uint32(0), mask, part)

    def _s2r(self, line, mask):
        self._set(line.operands[0], np.asarray(self.special.get(line.operands[1], 0), np.uint32), mask)

    _s2ur = _s2r

    def _ldc(self, line, mask):
        words = 4 if "128" in line.mods else 2 if "64" in line.mods else 1
        for part, value in enumerate(self._constant(line.operands[1], words)):
            self._set(line.operands[0], value, mask, part)

    _ldcu = _ldc

    def _sel(self, line, mask):
        d, a, b, p = line.operands
        self._set(d, np.where(self._predicate(p), self._word(a), self._word(b)), mask)

    def _p2r(self, line, mask):
        d, _, a, bits = line.operands
        value, bits = np.asarray(self._word(a)) & ~self._word(bits), int(bits, 0)
        packed = sum(np.uint32(1 << k) * self.P[k].astype(np.uint32) for k in range(7) if bits >> k & 1)
        self._set(d, value | packed, mask)

    def _r2p(self, line, mask):
        _, a, bits = line.operands
        for k in range(7):
            if int(bits, 0) >> k & 1:
                self._set_predicate(
                    f"P{k}", (self._word(a) >> np.uint32(k) & np.uint32(1)).astype(bool), mask
                )

    def _prmt(self, line, mask):
        d, a, selector, b = line.operands
        pair = np.uint64(self._word(a)) | np.uint64(self._word(b)) << np.uint64(32)
        chosen, value = np.asarray(self._word(selector), np.uint64), np.uint64(0)
        for k in range(4):
            nibble = chosen >> np.uint64(4 * k) & np.uint64(7)
            value = value | (pair >> nibble * np.uint64(8) & np.uint64(255)) << np.uint64(8 * k)
        self._set(d, value & np.uint64(0xFFFFFFFF), mask)

    def _idp(self, line, mask):
        """The sum of two products of a's halves and b's lower bytes, and of c."""
        if line.mods != ["2A", "LO", "U16", "U8"]:
            raise UnknownInstructionError(line.text)
        d, a, b, c = line.operands
        a, b, c = (np.asarray(self._word(x), np.uint32) for x in (a, b, c))
        self._set(d, (a & 0xFFFF) * (b & 0xFF) + (a >> 16) * (b >> 8 & 0xFF) + c, mask)

    def _shfl(self, line, mask):
        p, d, a, b, _ = line.operands
        lane, by = np.arange(self.total) % LANES, np.asarray(self._word(b)).astype(np.int64)
        from_ = {"BFLY": lane ^ by, "DOWN": lane + by, "UP": lane - by, "IDX": by + 0 * lane}[line.mods[0]]
        inside = (from_ >= 0) & (from_ < LANES)
        whole = np.arange(self.total) - lane + np.where(inside, from_, lane)
        value = np.broadcast_to(self._word(a), (self.total,))
        self._set(d, value[whole], mask)
        self._set_predicate(p, inside, mask)

    # ── integers ────────────────────────────────────────────────────────────────────────────────────────

    def _iadd3(self, line, mask):
        d, carries, values, reads = self._apart(line)
        total = np.uint64(0)
        for value in values:
            total = total + np.uint64(self._word(value))
        for p in reads[:1] if "X" in line.mods else ():
            total = total + self._predicate(p).astype(np.uint64)
        negative = sum(v.startswith("-") for v in values)
        self._set(d, np.uint64(total) & np.uint64(0xFFFFFFFF), mask)
        if carries and carries[0][-1] != "T":
            if negative and any(v.startswith("-") and np.any(self._word(v[1:]) == 0) for v in values):
                zero = np.logical_or.reduce(
                    [np.asarray(self._word(v[1:])) == 0 for v in values if v[0] == "-"]
                )
                total = total + np.where(zero, np.uint64(1 << 32), np.uint64(0))
            self._set_predicate(carries[0], (total >> np.uint64(32)) > 0, mask)

    _viadd = _iadd3

    def _iadd(self, line, mask):
        self._iadd3(line, mask)

    def _imad(self, line, mask):
        d, carries, (a, b, c), reads = self._apart(line)
        signed = "U32" not in line.mods
        x, y = (self._extended(v, signed) for v in (a, b))
        if "WIDE" in line.mods:
            product, addend = (
                (x * y).view(np.uint64) if signed else np.uint64(x) * np.uint64(y),
                self._wide(c),
            )
            total = np.uint64(product) + addend
            self._set(d, total & np.uint64(0xFFFFFFFF), mask)
            self._set(d, total >> np.uint64(32), mask, 1)
            if carries:
                self._set_predicate(carries[0], total < addend, mask)
        elif "HI" in line.mods:
            total = np.uint64(x) * np.uint64(y) + self._wide(c)
            self._set(d, total >> np.uint64(32), mask)
        else:
            total = np.uint64(self._word(a)) * np.uint64(self._word(b)) + np.uint64(self._word(c))
            if "X" in line.mods:
                total = total + self._predicate(reads[0]).astype(np.uint64)
            self._set(d, total & np.uint64(0xFFFFFFFF), mask)

    def _extended(self, text, signed):
        value = np.asarray(self._word(text))
        return value.view(np.int32).astype(np.int64) if signed else value.astype(np.uint64)

    def _lea(self, line, mask):
        d, carries, values, reads = self._apart(line)
        shift = np.uint64(int(values.pop(), 0))
        if "HI" not in line.mods:
            total = (np.uint64(self._word(values[0])) << shift & np.uint64(0xFFFFFFFF)) + np.uint64(
                self._word(values[1]))  # fmt: skip
        else:
            if "SX32" in line.mods:
                wide = self._extended(values[0], True).view(np.uint64)
            else:
                wide = np.uint64(self._word(values[0])) | np.uint64(self._word(values[2])) << np.uint64(32)
            total = (wide << shift >> np.uint64(32)) + np.uint64(self._word(values[1]))
            if "X" in line.mods:
                total = total + self._predicate(reads[0]).astype(np.uint64)
        self._set(d, total & np.uint64(0xFFFFFFFF), mask)
        if carries:
            self._set_predicate(carries[0], total >> np.uint64(32) > 0, mask)

    def _shf(self, line, mask):
        d, low, shift, high = line.operands
        shift = np.asarray(self._word(shift)).astype(np.uint64) & np.uint64(63)
        pair = np.uint64(self._word(low)) | np.uint64(self._word(high)) << np.uint64(32)
        if "L" in line.mods:
            value = pair << shift
            value = value >> np.uint64(32) if "HI" in line.mods else value
        elif "HI" in line.mods:
            value = np.asarray(self._word(high))
            value = value.view(np.int32) if "S32" in line.mods else value
            value = (value >> shift.astype(value.dtype)).view(np.uint32)
        else:
            value = pair >> shift
        self._set(d, np.asarray(value).astype(np.uint64) & np.uint64(0xFFFFFFFF), mask)

    def _lop3(self, line, mask):
        operands = [x for x in line.operands if not re.fullmatch(r"!?U?P[0-9T]", x)]
        d, a, b, c, table = operands
        a, b, c = (np.asarray(self._word(x)) for x in (a, b, c))
        value, table = np.uint32(0), int(table, 0)
        for k in range(8):
            if table >> k & 1:
                value = value | (a if k & 4 else ~a) & (b if k & 2 else ~b) & (c if k & 1 else ~c)
        self._set(d, value, mask)
        if re.fullmatch(r"U?P\d", line.operands[0]):
            self._set_predicate(line.operands[0], value != 0, mask)

    def _plop3(self, line, mask):
        p, q, *inputs, table, other = line.operands
        a, b, c = map(self._predicate, inputs)
        for target, bits in ((p, int(table, 0)), (q, int(other, 0))):
            index = 4 * a.astype(int) + 2 * b.astype(int) + c.astype(int)
            self._set_predicate(target, (bits >> index & 1).astype(bool), mask)

    def _isetp(self, line, mask):
        p, q, a, b, *reads = line.operands
        signed = "U32" not in line.mods
        x, y = (np.asarray(self._extended(v, signed)) for v in (a, b))
        if "EX" in line.mods:
            low = self._predicate(reads[1])
            strict = {"GE": x > y, "GT": x > y, "LE": x < y, "LT": x < y}.get(line.mods[0])
            if line.mods[0] == "EQ":
                value = (x == y) & low
            elif line.mods[0] == "NE":
                value = (x != y) | low
            else:
                value = strict | (x == y) & low
        else:
            value = compared(line.mods[0], x, y)
        self._conclude(line, p, q, value, self._predicate(reads[0]), mask)

    def _conclude(self, line, p, q, value, other, mask):
        join = (
            np.logical_or if "OR" in line.mods else np.logical_xor if "XOR" in line.mods else np.logical_and
        )
        both = join(value, other), join(~value, other)
        self._set_predicate(p, both[0], mask)
        self._set_predicate(q, both[1], mask)

    def _imnmx(self, line, mask):
        d, _, (a, b), (p,) = self._apart(line)
        signed = "U32" not in line.mods
        x, y = (self._extended(v, signed) for v in (a, b))
        value = np.where(self._predicate(p), np.minimum(x, y), np.maximum(x, y))
        self._set(d, value.astype(np.int64).view(np.uint64) & np.uint64(0xFFFFFFFF), mask)

    _vimnmx = _imnmx

    def _viaddmnmx(self, line, mask):
        d, _, (a, b, c), (p,) = self._apart(line)
        signed = "U32" not in line.mods
        total = np.asarray(self._word(a) + self._word(b))
        x = total.view(np.int32).astype(np.int64) if signed else total.astype(np.uint64)
        y = self._extended(c, signed)
        value = np.where(self._predicate(p), np.minimum(x, y), np.maximum(x, y))
        self._set(d, value.astype(np.int64).view(np.uint64) & np.uint64(0xFFFFFFFF), mask)

    # ── float32 ─────────────────────────────────────────────────────────────────────────────────────────

    def _round(self, line, exact, mask):
        """A result in double, rounded as the modifiers say."""
        value = np.asarray(exact, np.float64)
        near = value.astype(np.float32)
        if "RM" in line.mods:
            near = np.where(near > value, np.nextafter(near, np.float32(-np.inf)), near)
        elif "RP" in line.mods:
            near = np.where(near < value, np.nextafter(near, np.float32(np.inf)), near)
        elif "RZ" in line.mods:
            near = np.where(np.abs(near) > np.abs(value), np.nextafter(near, np.float32(0)), near)
        if "SAT" in line.mods:
            near = np.clip(np.where(np.isnan(near), 0, near), 0, 1)
        self._set(line.operands[0], near.astype(np.float32), mask)

    def _fadd(self, line, mask):
        a, b = (self._float(x).astype(np.float64) for x in line.operands[1:])
        self._round(line, a + b, mask)

    def _fmul(self, line, mask):
        a, b = (self._float(x).astype(np.float64) for x in line.operands[1:])
        self._round(line, a * b, mask)

    def _ffma(self, line, mask):
        a, b, c = (self._float(x).astype(np.float64) for x in line.operands[1:])
        self._round(line, a * b + c, mask)

    def _fsel(self, line, mask):
        d, a, b, p = line.operands
        self._set(d, np.where(self._predicate(p), self._float(a), self._float(b)), mask)

    def _fmnmx(self, line, mask):
        d, _, (a, b), (p,) = self._apart(line)
        low, high = (np.minimum, np.maximum) if "NAN" in line.mods else (np.fmin, np.fmax)
        a, b = self._float(a), self._float(b)
        self._set(d, np.where(self._predicate(p), low(a, b), high(a, b)), mask)

    def _fsetp(self, line, mask):
        p, q, a, b, other = line.operands
        value = compared(line.mods[0], self._float(a), self._float(b))
        self._conclude(line, p, q, value, self._predicate(other), mask)

    def _fset(self, line, mask):
        d, a, b, other = line.operands
        value = compared(line.mods[1], self._float(a), self._float(b)) & self._predicate(other)
        self._set(d, value.astype(np.float32), mask)

    def _fchk(self, line, mask):
        """Whether a quotient needs the slow way: a or b is special, or their exponents are far apart."""
        p, a, b = line.operands
        a, b = (np.frexp(np.asarray(self._float(x), np.float64)) for x in (a, b))
        normal = [np.isfinite(m) & (m != 0) & (np.abs(e) < 125) for m, e in (a, b)]
        fine = (
            normal[1] & (np.abs(b[1]) < 124) & (normal[0] & (np.abs(a[1] - b[1]) < 124) | (a[0] == 0) & False)
        )
        self._set_predicate(p, ~np.broadcast_to(fine, (self.total,)), mask)

    def _mufu(self, line, mask):
        d, a = line.operands
        x = self._float(a).astype(np.float64)
        functions = {"EX2": np.exp2, "LG2": np.log2, "RCP": np.reciprocal, "SQRT": np.sqrt,
                     "RSQ": lambda x: 1 / np.sqrt(x), "TANH": np.tanh}  # fmt: skip
        self._set(d, functions[line.mods[0]](x).astype(np.float32), mask)

    def _i2f(self, line, mask):
        value = self._word(line.operands[1])
        signed = not any(m.startswith("U") for m in line.mods)
        value = np.asarray(value).view(np.int32) if signed else np.asarray(value)
        self._round(line, (value & 0xFFFF if "U16" in line.mods else value).astype(np.float64), mask)

    _i2fp = _i2f

    def _f2i(self, line, mask):
        value = np.trunc(self._float(line.operands[1]).astype(np.float64))
        low, high = (0, 2**32 - 1) if "U32" in line.mods else (-(2**31), 2**31 - 1)
        value = np.clip(np.nan_to_num(value), low, high).astype(np.int64)
        self._set(line.operands[0], value.view(np.uint64) & np.uint64(0xFFFFFFFF), mask)

    def _hmma(self, line, mask):
        """A 16×8 tile of products of 8 terms in TF32, of which the hardware takes the upper 19 bits."""
        if line.mods[:3] != ["1688", "F32", "TF32"]:
            raise UnknownInstructionError(line.text)
        d, a, b, c = line.operands
        words = [np.broadcast_to(self._word(x, k), (self.total,)).reshape(-1, 8, 4)
                 for x, n in ((a, 4), (b, 2)) for k in range(n)]  # fmt: skip
        a0, a1, a2, a3, b0, b1 = (
            (w & np.uint32(0xFFFFE000)).view(np.float32).astype(np.float64) for w in words
        )
        A = np.concatenate([np.concatenate([a0, a2], 2), np.concatenate([a1, a3], 2)], 1)
        B = np.concatenate([b0.transpose(0, 2, 1), b1.transpose(0, 2, 1)], 1)
        C = A @ B
        made = C[:, :8, 0::2], C[:, :8, 1::2], C[:, 8:, 0::2], C[:, 8:, 1::2]
        for k, value in enumerate(made):
            plus = np.broadcast_to(self._word(c, k), (self.total,)).view(np.float32).astype(np.float64)
            self._set(d, (value.reshape(-1) + plus).astype(np.float32), mask, k)

    # ── memory ──────────────────────────────────────────────────────────────────────────────────────────

    def _words(self, line):
        return 4 if "128" in line.mods else 2 if "64" in line.mods else 1

    def _space(self, line, text, mask):
        """The memory that is meant, and the first word of each thread of the mask."""
        words, address = self._words(line), self._address(text)
        address = np.broadcast_to(address, (self.total,))[mask].astype(np.int64)
        if np.any(address % (4 * words)):
            raise IndexError(f"{line.text}: an address is no multiple of {4 * words}")
        if line.name in ("LDS", "STS"):
            base = 0 if self.architecture == "sm_80" else 1024
            index, memory = (address - base) // 4, self.shared
            self._banks(line, index, mask, words)
        else:
            index, memory = (address - GLOBAL) // 4, self.memory
            self._sectors(line, address, mask, words)
        if index.size and (index.min() < 0 or index.max() + words > memory.size):
            raise IndexError(f"{line.text}: beyond memory")
        return memory, index

    def _banks(self, line, index, mask, words):
        """How often shared memory is asked: once for lanes that need each bank for one word at most."""
        group = np.repeat(
            self.warp[mask] * words + np.arange(self.total)[mask] % LANES // (LANES // words), words
        )
        index = (index[:, None] + np.arange(words)).reshape(-1)
        found = np.unique(group << 32 | index)
        if found.size:
            bank = (found >> 32) * BANKS + (found & 0xFFFFFFFF) % BANKS
            counts = np.bincount(bank - bank.min() // BANKS * BANKS)
            per = np.pad(counts, (0, -len(counts) % BANKS)).reshape(-1, BANKS).max(1)
            self.waves[line.name] += int(per.sum())

    def _sectors(self, line, address, mask, words):
        """How many pieces of 32 bytes global memory is asked for."""
        pieces = (address[:, None] + 4 * np.arange(words)).reshape(-1) // 32
        found, each = np.unique(np.repeat(self.warp[mask], words) << 40 | pieces), self.warp[-1] + 1
        self.waves[line.name] += found.size
        for kept, warps in ((self.pieces, found >> 40), (self.asked, np.unique(self.warp[mask]))):
            kept += np.bincount(warps * self.blocks // each, minlength=self.blocks)

    def _lds(self, line, mask):
        d, place = line.operands
        memory, index = self._space(line, place, mask)
        for part in range(self._words(line)):
            file, number = self._file(d)
            file[number + part, mask] = memory[index + part]

    _ldg = _lds

    def _sts(self, line, mask):
        place, a = line.operands
        memory, index = self._space(line, place, mask)
        for part in range(self._words(line)):
            memory[index + part] = np.broadcast_to(self._word(a, part), (self.total,))[mask]

    _stg = _sts

    def _ldl(self, line, mask):
        d, place = line.operands
        index = (np.broadcast_to(self._address(place), (self.total,)).astype(np.int64) // 4) % 64
        for part in range(self._words(line)):
            self._set(d, self.local[index + part, np.arange(self.total)], mask, part)

    def _stl(self, line, mask):
        place, a = line.operands
        index = (np.broadcast_to(self._address(place), (self.total,)).astype(np.int64) // 4) % 64
        for part in range(self._words(line)):
            value = np.broadcast_to(self._word(a, part), (self.total,))
            self.local[(index + part)[mask], np.arange(self.total)[mask]] = value[mask]

    # ── control ─────────────────────────────────────────────────────────────────────────────────────────

    def _bra(self, line, mask):
        *guards, target = line.operands
        if "DIV" in line.mods:  # where the threads of a warp are not together
            whole = np.add.reduceat(mask, np.arange(0, self.total, LANES)) == LANES
            mask, guards = mask & ~whole[self.warp], ()
        for guard in guards:
            mask = mask & self._predicate(guard)
        if not guards and (found := re.match(r"(!?U?P\d)\s+`", target)):
            mask = mask & self._predicate(found[1])
        self.pc[mask] = self.labels[re.search(r"`\(([^)]+)\)", target)[1]]

    _call = _bra

    def _brx(self, line, mask):
        name, offset = line.operands[0].split()[:2]
        target = self._wide(name) + np.uint64((line.address + 16 + int(offset, 0)) & 0xFFFFFFFFFFFFFFFF)
        self.pc[mask] = np.broadcast_to(target, (self.total,)).astype(np.int64)[mask]

    def _ret(self, line, mask):
        self.pc[mask] = np.broadcast_to(self._word(line.operands[0].split()[0]), (self.total,))[mask]

    def _exit(self, line, mask):
        self.running &= ~mask

    def _bar(self, line, mask):
        self.waits |= mask

    def _nop(self, line, mask):
        pass

    _bssy = _bsync = _break = _warpsync = _vote = _bmov = _depbar = _nop


def compared(name, x, y):
    """A comparison by its name; one with a U is true where a NaN is."""
    plain = {"GE": x >= y, "GT": x > y, "LE": x <= y, "LT": x < y, "EQ": x == y, "NE": (x < y) | (x > y)}
    unordered = (x != x) | (y != y)
    if name in plain:
        return plain[name]
    return unordered if name == "NAN" else ~unordered if name == "NUM" else plain[name[:-1]] | unordered

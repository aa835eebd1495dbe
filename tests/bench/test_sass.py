"""The machine code of kernels: what a model of a multiprocessor counts is what a reader counts."""

import numpy as np
import pytest

from bench.sass import __main__ as sass
from bench.sass import compiled, large, show
from bench.sass.warps import UnknownInstructionError, Warps, parse
from minigan.backend import numpy_backend
from minigan.compiler.executions import fuse
from minigan.errors import UnavailableError
from minigan.testing.strict.backend import strict

# extern "C" __global__ void total(float* out, const float* x, const int n) {
#     __shared__ float part[64];
#     const int t = threadIdx.x;
#     float sum = 0;
#     for (int i = t; i < n; i += 64) sum += x[i];
#     part[t] = sum;
#     __syncthreads();
#     if (t < 32) {
#         sum += part[t + 32];
#         for (int by = 16; by; by /= 2) sum += __shfl_xor_sync(~0u, sum, by);
#         if (t == 0) out[0] = sum;
#     }
# }
TOTAL = """
total:
.text.total:
/*0000*/ LDC R1, c[0x0][0x28] ;
/*0010*/ S2R R9, SR_TID.X ;
/*0020*/ ULDC UR8, c[0x0][0x220] ;
/*0030*/ ULDC.64 UR6, c[0x0][0x208] ;
/*0040*/ BSSY B0, `(.L_x_0) ;
/*0050*/ HFMA2.MMA R0, -RZ, RZ, 0, 0 ;
/*0060*/ ISETP.GE.AND P0, PT, R9, UR8, PT ;
/*0070*/ @P0 BRA `(.L_x_1) ;
/*0080*/ LDC.64 R2, c[0x0][0x218] ;
/*0090*/ MOV R0, RZ ;
/*00a0*/ MOV R4, R9 ;
/*00b0*/ IMAD.WIDE R2, R9, 0x4, R2 ;
/*00c0*/ IMAD.MOV.U32 R5, RZ, RZ, R3 ;
.L_x_2:
/*00d0*/ IMAD.MOV.U32 R3, RZ, RZ, R5 ;
/*00e0*/ LDG.E R3, desc[UR6][R2.64] ;
/*00f0*/ IADD3 R4, R4, 0x40, RZ ;
/*0100*/ ISETP.GE.AND P0, PT, R4, UR8, PT ;
/*0110*/ IADD3 R2, P1, R2, 0x100, RZ ;
/*0120*/ IADD3.X R5, RZ, R5, RZ, P1, !PT ;
/*0130*/ FADD.FTZ R0, R3, R0 ;
/*0140*/ @!P0 BRA `(.L_x_2) ;
.L_x_1:
/*0150*/ BSYNC B0 ;
.L_x_0:
/*0160*/ S2UR UR5, SR_CgaCtaId ;
/*0170*/ UMOV UR4, 0x400 ;
/*0180*/ ISETP.GT.AND P0, PT, R9, 0x1f, PT ;
/*0190*/ ULEA UR4, UR5, UR4, 0x18 ;
/*01a0*/ LEA R3, R9, UR4, 0x2 ;
/*01b0*/ STS [R3], R0 ;
/*01c0*/ BAR.SYNC.DEFER_BLOCKING 0x0 ;
.L_x_9:
/*01d0*/ @P0 EXIT ;
/*01e0*/ LDS R3, [R3+0x80] ;
/*01f0*/ ISETP.NE.AND P0, PT, R9, RZ, PT ;
/*0200*/ FADD.FTZ R0, R3, R0 ;
.L_x_4:
/*0210*/ SHFL.BFLY PT, R5, R0, 0x10, 0x1f ;
/*0220*/ FADD.FTZ R5, R0, R5 ;
.L_x_5:
/*0230*/ SHFL.BFLY PT, R2, R5, 0x8, 0x1f ;
/*0240*/ FADD.FTZ R2, R5, R2 ;
.L_x_6:
/*0250*/ SHFL.BFLY PT, R7, R2, 0x4, 0x1f ;
/*0260*/ FADD.FTZ R7, R2, R7 ;
.L_x_7:
/*0270*/ SHFL.BFLY PT, R4, R7, 0x2, 0x1f ;
/*0280*/ FADD.FTZ R4, R7, R4 ;
.L_x_8:
/*0290*/ SHFL.BFLY PT, R9, R4, 0x1, 0x1f ;
.L_x_10:
/*02a0*/ @P0 EXIT ;
/*02b0*/ LDC.64 R2, c[0x0][0x210] ;
/*02c0*/ FADD.FTZ R9, R4, R9 ;
/*02d0*/ STG.E desc[UR6][R2.64], R9 ;
.L_x_11:
/*02e0*/ EXIT ;
.L_x_3:
/*02f0*/ BRA `(.L_x_3);
/*0300*/ NOP;
"""


LOOP, BY_HAND = 0xD0, 2 * (8 + 5 + 2 * 8 + 1 + 7 + 1) + 3 + 9 + 1 + 4  # where it begins; all that is issued


def run_total(n=100, text=TOTAL, shared=256):
    arguments = [np.zeros(1, "float32"), np.arange(n, dtype="float32"), np.int32(n)]
    return Warps(parse(text), "sm_90", 64, arguments, shared).run()


def test_what_is_counted_is_what_a_reader_counts():
    """Two warps turn twice in the loop, the second then with four threads; one goes on after the barrier."""
    warps = run_total()
    assert warps.results()[0] == np.arange(100).sum()
    assert warps.at_count[LOOP] == 2 * 2 and warps.barriers == 1
    assert sum(warps.kinds.values()) == BY_HAND
    assert (warps.counts["SHFL"], warps.counts["BAR"], warps.counts["STG"]) == (5, 2, 1)
    assert warps.waves == {"LDG": 3 * 4 + 1, "STS": 2, "LDS": 1, "STG": 1}
    assert run_total(64).at_count[LOOP] == 2


def test_words_of_one_bank_are_asked_for_one_after_the_other():
    """Threads write words that are 32 apart."""
    warps = run_total(text=TOTAL.replace("LEA R3, R9, UR4, 0x2", "LEA R3, R9, UR4, 0x7"), shared=2**13)
    assert (warps.waves["STS"], warps.waves["LDS"]) == (64, 32)


def test_what_each_block_issues_is_counted_apart():
    """The second of three, of two warps each: what it asks of memory is the same."""
    arguments = [np.zeros(1, "float32"), np.arange(100, dtype="float32"), np.int32(100)]
    warps = Warps(parse(TOTAL), "sm_90", 64, arguments, 256, blocks=[0, 2]).run()
    assert warps.issued.tolist() == [BY_HAND] * 2
    assert (warps.asked.tolist(), warps.pieces.tolist()) == ([2 * 2 + 1] * 2, [3 * 4 + 1 + 1] * 2)


def test_one_block_stands_for_those_with_as_many_items():
    """Three whole blocks, and one of which a part has work; or blocks that go round once more than others."""
    assert large.samples(3 * 128 + 5, 4) == {1: 3, 3: 1}
    assert sum(large.samples(5 * 128, 3).values()) == 3 and len(large.samples(5 * 128, 3)) == 2


def test_an_unknown_instruction_is_named():
    with pytest.raises(UnknownInstructionError, match="TMA.NEW"):
        run_total(text=TOTAL.replace("BAR.SYNC.DEFER_BLOCKING 0x0", "TMA.NEW R1"))


def test_what_nvidia_makes_of_a_kernel_computes_what_the_cpu_does():
    """Of a small step for one architecture; the row says what a multiprocessor holds."""
    try:
        tools = compiled.find()
    except UnavailableError as error:
        assert "pip install" in str(error)
        pytest.skip("neither NVRTC nor nvdisasm is here")
    plan = fuse(sass.benchmark_step(16, 8), "block", numpy_backend, strict)
    row = sass.row_of("(16, 8)", "sm_90", plan, tools)
    assert row["off"] < sass.OFF and row["levels"] == 8 and row["kinds"]["tensor"] > 0 == row["spilled"]
    assert len(show.cells(row)) == len(show.HEADER) and row["blocks"] >= 8

// Products that a warp makes in tiles, in the kernels that the compiler writes.
//
// Products of float32 are made by tensor cores, each factor as two numbers of TF32: x = high + low, where high
// is x rounded to 11 bits and low has the rest, all of it or all but half a unit in the last place. Three of
// the four products of the halves are summed, the smallest first; what is left out is below 2⁻²² of a term.
// Tensor cores sum sixteen terms, and what they do not round to nearest is small; their sums are added as float32.
// Source: Ootomo, Yokota, Recovering single precision accuracy from tensor cores (2022); the layout: PTX ISA,
// "Matrix Fragments for mma.m16n8k8"

struct Split {
    unsigned high, low;  // bits of float32, of which a tensor core takes the upper 19
};

__device__ __forceinline__ Split split(float x) {
    const unsigned high = (__float_as_uint(x) + 0x1000u) & 0xffffe000u;
    return {high, __float_as_uint(x - __uint_as_float(high))};
}

#ifndef MINIGAN_HOST
// d += a b: 16×8 of 16×8 times 8×8, spread over the lanes of the warp
__device__ __forceinline__ void mma_tf32(float (&d)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3,
                                         unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
#endif

// d += A B for 16 rows of A, 8·N columns of B and 8 terms, from where a lane reads: its first term, the rows g and g + 8.
template <int N, int A_TERM, int B_TERM, int B_COLUMN>
__device__ __forceinline__ void eight_terms(float (&d)[N][4], const float* low, const float* high, const float* b) {
    const Split a0 = split(low[0]), a1 = split(high[0]), a2 = split(low[4 * A_TERM]), a3 = split(high[4 * A_TERM]);
    #pragma unroll
    for (int j = 0; j < N; ++j) {
        const Split b0 = split(b[8 * j * B_COLUMN]), b1 = split(b[4 * B_TERM + 8 * j * B_COLUMN]);
        mma_tf32(d[j], a0.low, a1.low, a2.low, a3.low, b0.high, b1.high);
        mma_tf32(d[j], a0.high, a1.high, a2.high, a3.high, b0.low, b1.low);
        mma_tf32(d[j], a0.high, a1.high, a2.high, a3.high, b0.high, b1.high);
    }
}

// c += A B for 16 rows of A and 8·N columns of B, whose first elements are given. With g = lane / 4, t = lane % 4 a
// lane has of the columns 8j + 2t and 8j + 2t + 1 the elements c[j][0], c[j][1] in row g, c[j][2], c[j][3] in row g + 8.
// A's rows beyond the last one are not there; terms are a multiple of 8.
template <int N, int A_ROW, int A_TERM, int B_TERM, int B_COLUMN>
__device__ __forceinline__ void tile_product(float (&c)[N][4], const float* a, const float* b, const int terms,
                                             const int last, const int lane) {
    const int g = lane / 4, t = lane % 4;
    const float *low = a + min(g, last) * A_ROW + t * A_TERM, *high = a + min(g + 8, last) * A_ROW + t * A_TERM;
    b += t * B_TERM + g * B_COLUMN;
    #pragma unroll 1
    for (int k = 0; k < terms; k += 16) {
        float d[N][4] = {};
        eight_terms<N, A_TERM, B_TERM, B_COLUMN>(d, low + k * A_TERM, high + k * A_TERM, b + k * B_TERM);
        if (terms % 16 == 0 || k + 8 < terms)
            eight_terms<N, A_TERM, B_TERM, B_COLUMN>(
                d, low + (k + 8) * A_TERM, high + (k + 8) * A_TERM, b + (k + 8) * B_TERM);
        #pragma unroll
        for (int j = 0; j < N; ++j)
            #pragma unroll
            for (int q = 0; q < 4; ++q) c[j][q] += d[j][q];
    }
}

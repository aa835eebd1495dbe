// Sums over the lanes of a warp.

// The sum over lanes whose numbers differ by multiples of `apart`, a power of two; each of them has it.
template <class T> __device__ __forceinline__ T sum_over_lanes(T x, const int apart) {
    #pragma unroll
    for (int by = 16; by >= 1; by /= 2)
        if (by >= apart) x += __shfl_xor_sync(~0u, x, by);
    return x;
}

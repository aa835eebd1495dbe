// C = αAB + βC for matrices anywhere in memory: a block makes a tile of 64×64, a thread 4×4 of it.
//
// Each operand has an offset, the strides of a row, of a column and of a matrix of the batch, in elements;
// a transposed one has its strides exchanged. Sums run over k in order, whatever the grid and the batch.

template <typename T> struct GemmOperand {
    T* at;
    long long offset, row, column, matrix;
    __device__ __forceinline__ T* of(int batch) const { return at + offset + matrix * batch; }
};

template <typename T>
__device__ __forceinline__ void gemm_tile(int m, int n, int k, int batches, T alpha, T beta,
                                          GemmOperand<const T> A, GemmOperand<const T> B, GemmOperand<T> C) {
    constexpr int TILE = 64, DEPTH = 16, EACH = 4, PADDED = TILE + 4, ACROSS = TILE / EACH;
    __shared__ T a_tile[DEPTH * PADDED];  // [depth][row]
    __shared__ T b_tile[DEPTH * PADDED];  // [depth][column]
    const int thread = threadIdx.x, threads = blockDim.x;
    const int first_row = blockIdx.y * TILE, first_column = blockIdx.x * TILE;
    const int row = thread / ACROSS * EACH, column = thread % ACROSS * EACH;

    for (int batch = blockIdx.z; batch < batches; batch += gridDim.z) {
        const T *a = A.of(batch), *b = B.of(batch);
        T* c = C.of(batch);
        T sums[EACH][EACH] = {};
        for (int start = 0; start < k; start += DEPTH) {
            for (int i = thread; i < TILE * DEPTH; i += threads) {
                // Neighbours in memory for neighbouring threads, whichever way a matrix lies.
                const int r = A.row == 1 ? i % TILE : i / DEPTH, ka = A.row == 1 ? i / TILE : i % DEPTH;
                const bool in_a = first_row + r < m && start + ka < k;
                a_tile[ka * PADDED + r] =
                    in_a ? a[(first_row + r) * A.row + (start + ka) * A.column] : T(0);
                const int q = B.column == 1 ? i % TILE : i / DEPTH, kb = B.column == 1 ? i / TILE : i % DEPTH;
                const bool in_b = first_column + q < n && start + kb < k;
                b_tile[kb * PADDED + q] =
                    in_b ? b[(start + kb) * B.row + (first_column + q) * B.column] : T(0);
            }
            __syncthreads();
            #pragma unroll
            for (int d = 0; d < DEPTH; d++) {
                T left[EACH], right[EACH];
                #pragma unroll
                for (int i = 0; i < EACH; i++) {
                    left[i] = a_tile[d * PADDED + row + i];
                    right[i] = b_tile[d * PADDED + column + i];
                }
                #pragma unroll
                for (int i = 0; i < EACH; i++)
                    #pragma unroll
                    for (int j = 0; j < EACH; j++) sums[i][j] = fma(left[i], right[j], sums[i][j]);
            }
            __syncthreads();
        }
        #pragma unroll
        for (int i = 0; i < EACH; i++)
            #pragma unroll
            for (int j = 0; j < EACH; j++)
                if (first_row + row + i < m && first_column + column + j < n) {
                    T* out = c + (first_row + row + i) * C.row + (first_column + column + j) * C.column;
                    *out = beta == T(0) ? alpha * sums[i][j] : fma(alpha, sums[i][j], beta * *out);
                }
    }
}

extern "C" __global__ void __launch_bounds__(256)
gemm_float32(int m, int n, int k, int batches, float alpha, float beta,
             const float* a, long long a_offset, long long a_row, long long a_column, long long a_matrix,
             const float* b, long long b_offset, long long b_row, long long b_column, long long b_matrix,
             float* c, long long c_offset, long long c_row, long long c_column, long long c_matrix) {
    gemm_tile<float>(m, n, k, batches, alpha, beta, {a, a_offset, a_row, a_column, a_matrix},
                     {b, b_offset, b_row, b_column, b_matrix}, {c, c_offset, c_row, c_column, c_matrix});
}

extern "C" __global__ void __launch_bounds__(256)
gemm_float64(int m, int n, int k, int batches, double alpha, double beta,
             const double* a, long long a_offset, long long a_row, long long a_column, long long a_matrix,
             const double* b, long long b_offset, long long b_row, long long b_column, long long b_matrix,
             double* c, long long c_offset, long long c_row, long long c_column, long long c_matrix) {
    gemm_tile<double>(m, n, k, batches, alpha, beta, {a, a_offset, a_row, a_column, a_matrix},
                      {b, b_offset, b_row, b_column, b_matrix}, {c, c_offset, c_row, c_column, c_matrix});
}

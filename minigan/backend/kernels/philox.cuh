// Philox4x32-10: numbers that are functions of (seed, replica, stream, step, element), as philox.py has them.
//
// Uniform and normal numbers have the same bits here and in NumPy: they are made of +, -, *, / and sqrt, each
// rounded once, in the order that is written. The rn_ functions are never contracted into a fused operation.
// Source: J. K. Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011); the logarithm after
// FreeBSD's msun; the coefficients of the sine are minimax; the shuffle: Hoang, Morris, Rogaway 2012; normal
// quantiles: Wichura 1988, algorithm AS 241.

__device__ __forceinline__ float rn_add(float a, float b) { return __fadd_rn(a, b); }
__device__ __forceinline__ float rn_sub(float a, float b) { return __fsub_rn(a, b); }
__device__ __forceinline__ float rn_mul(float a, float b) { return __fmul_rn(a, b); }
__device__ __forceinline__ float rn_div(float a, float b) { return __fdiv_rn(a, b); }
__device__ __forceinline__ float rn_sqrt(float a) { return __fsqrt_rn(a); }
__device__ __forceinline__ double rn_add(double a, double b) { return __dadd_rn(a, b); }
__device__ __forceinline__ double rn_sub(double a, double b) { return __dsub_rn(a, b); }
__device__ __forceinline__ double rn_mul(double a, double b) { return __dmul_rn(a, b); }
__device__ __forceinline__ double rn_div(double a, double b) { return __ddiv_rn(a, b); }
__device__ __forceinline__ double rn_sqrt(double a) { return __dsqrt_rn(a); }

// The four words of one counter under one key.
__device__ __forceinline__ uint4 philox(uint4 counter, uint2 key) {
    #pragma unroll
    for (int round = 0; round < 10; round++) {
        const unsigned high0 = __umulhi(0xD2511F53u, counter.x), low0 = 0xD2511F53u * counter.x;
        const unsigned high1 = __umulhi(0xCD9E8D57u, counter.z), low1 = 0xCD9E8D57u * counter.z;
        counter = make_uint4(high1 ^ counter.y ^ key.x, low1, high0 ^ counter.w ^ key.y, low0);
        key.x += 0x9E3779B9u, key.y += 0xBB67AE85u;
    }
    return counter;
}

// The words of elements 4·block … 4·block + 3 of a stream at a step (float64: 2·block and 2·block + 1).
__device__ __forceinline__ uint4 philox_words(unsigned block, unsigned stream, unsigned long long step,
                                              uint2 key) {
    return philox(make_uint4(block, stream, unsigned(step), unsigned(step >> 32)), key);
}

// A polynomial, the highest power first, by Horner's scheme.
template <typename T> __device__ __forceinline__ T philox_series(T z, T y) { return y; }
template <typename T, typename... More>
__device__ __forceinline__ T philox_series(T z, T y, T next, More... more) {
    return philox_series(z, rn_add(rn_mul(y, z), next), more...);
}

template <typename T> struct Philox;

template <> struct Philox<float> {
    static constexpr int PER_BLOCK = 4;  // elements that one counter makes

    // Strictly between 0 and 1: exact, as it has 24 bits.
    static __device__ __forceinline__ float uniform(unsigned x) {
        return rn_mul(rn_add(float(x >> 9), 0.5f), 0x1p-23f);
    }
    // u in (0, 1], of 32 bits as its small values make the tails.
    static __device__ __forceinline__ float open_zero(unsigned x) {
        return rn_add(rn_mul(float(x), 0x1p-32f), 0x1p-33f);
    }
    // The exponent of u to the base 2, and what is left of u: in [sqrt(1/2), sqrt(2)).
    static __device__ __forceinline__ float split(float& u) {
        const int bits = __float_as_int(u), exponent = (bits - 0x3f3504f3) >> 23;
        u = __int_as_float(bits - exponent * (1 << 23));
        return float(exponent);
    }
    static __device__ __forceinline__ float logarithm_series(float z) {
        float y = 0.24279079f;
        y = rn_add(rn_mul(y, z), 0.28498787f);
        y = rn_add(rn_mul(y, z), 0.40000972f);
        return rn_add(rn_mul(y, z), 0.6666666f);
    }
    static constexpr float LN2_HIGH = 0.6931381f, LN2_LOW = 9.058001e-06f;
    static __device__ __forceinline__ float sine_series(float z) {
        float y = 0.00015016996f;
        y = rn_add(rn_mul(y, z), -0.004671238f);
        y = rn_add(rn_mul(y, z), 0.07968818f);
        y = rn_add(rn_mul(y, z), -0.64596343f);
        return rn_add(rn_mul(y, z), 0.5707963f);
    }
    static __device__ __forceinline__ float middle(float r) {
        return rn_div(philox_series(r, 59.10937472f, 159.29113202f, 50.434271938f, 3.3871327179f),
                      philox_series(r, 67.1875636f, 78.757757664f, 17.895169469f, 1.0f));
    }
    static __device__ __forceinline__ float tail(float r) {
        return rn_div(philox_series(r, 0.17023821103f, 1.3067284816f, 2.75681539f, 1.4234372777f),
                      philox_series(r, 0.12021132975f, 0.7370016425f, 1.0f));
    }
    static __device__ __forceinline__ float far(float r) {
        return rn_div(philox_series(r, 0.017337203997f, 0.42868294337f, 3.081226386f, 6.6579051150f),
                      philox_series(r, 0.012258202635f, 0.24197894225f, 1.0f));
    }
    static __device__ __forceinline__ void uniforms(uint4 w, float* out) {
        out[0] = uniform(w.x), out[1] = uniform(w.y), out[2] = uniform(w.z), out[3] = uniform(w.w);
    }
    static __device__ __forceinline__ void normals(uint4 w, float* out);
};

template <> struct Philox<double> {
    static constexpr int PER_BLOCK = 2;

    static __device__ __forceinline__ double uniform(unsigned long long x) {
        return rn_mul(rn_add(double(x >> 12), 0.5), 0x1p-52);
    }
    static __device__ __forceinline__ double open_zero(unsigned long long x) {
        return rn_add(rn_mul(double(x), 0x1p-64), 0x1p-65);
    }
    static __device__ __forceinline__ double split(double& u) {
        const long long bits = __double_as_longlong(u), exponent = (bits - 0x3fe6a09e667f3bcdLL) >> 52;
        u = __longlong_as_double(bits - exponent * (1LL << 52));
        return double(exponent);
    }
    static __device__ __forceinline__ double logarithm_series(double z) {
        double y = 1.479819860511658591e-01;
        y = rn_add(rn_mul(y, z), 1.531383769920937332e-01);
        y = rn_add(rn_mul(y, z), 1.818357216161805012e-01);
        y = rn_add(rn_mul(y, z), 2.222219843214978396e-01);
        y = rn_add(rn_mul(y, z), 2.857142874366239149e-01);
        y = rn_add(rn_mul(y, z), 3.999999999940941908e-01);
        return rn_add(rn_mul(y, z), 6.666666666666735130e-01);
    }
    static constexpr double LN2_HIGH = 6.93147180369123816490e-01, LN2_LOW = 1.90821492927058770002e-10;
    static __device__ __forceinline__ double sine_series(double z) {
        double y = 7.171082075839656e-12;
        y = rn_add(rn_mul(y, z), -6.737144381287702e-10);
        y = rn_add(rn_mul(y, z), 5.6930083773637533e-08);
        y = rn_add(rn_mul(y, z), -3.5988505489121733e-06);
        y = rn_add(rn_mul(y, z), 0.00016044118832630316);
        y = rn_add(rn_mul(y, z), -0.004681754136250138);
        y = rn_add(rn_mul(y, z), 0.07969262624628796);
        y = rn_add(rn_mul(y, z), -0.6459640975062523);
        return rn_add(rn_mul(y, z), 0.5707963267948967);
    }
    static __device__ __forceinline__ double middle(double r) {
        return rn_div(
            philox_series(r, 2509.0809287301226727, 33430.575583588128105, 67265.770927008700853,
                          45921.953931549871457, 13731.693765509461125, 1971.5909503065514427,
                          133.14166789178437745, 3.387132872796366608),
            philox_series(r, 5226.495278852854561, 28729.085735721942674, 39307.89580009271061,
                          21213.794301586595867, 5394.1960214247511077, 687.1870074920579083,
                          42.313330701600911252, 1.0));
    }
    static __device__ __forceinline__ double tail(double r) {
        return rn_div(
            philox_series(r, 7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177,
                          1.27045825245236838258, 3.64784832476320460504, 5.7694972214606914055,
                          4.6303378461565452959, 1.42343711074968357734),
            philox_series(r, 1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966,
                          0.14810397642748007459, 0.68976733498510000455, 1.6763848301838038494,
                          2.05319162663775882187, 1.0));
    }
    static __device__ __forceinline__ double far(double r) {
        return rn_div(
            philox_series(r, 2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386,
                          0.026532189526576123093, 0.29656057182850489123, 1.7848265399172913358,
                          5.4637849111641143699, 6.6579046435011037772),
            philox_series(r, 2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5,
                          7.868691311456132591e-4, 0.0148753612908506148525, 0.13692988092273580531,
                          0.59983220655588793769, 1.0));
    }
    static __device__ __forceinline__ unsigned long long join(unsigned low, unsigned high) {
        return (unsigned long long)high << 32 | low;
    }
    static __device__ __forceinline__ void uniforms(uint4 w, double* out) {
        out[0] = uniform(join(w.x, w.y)), out[1] = uniform(join(w.z, w.w));
    }
    static __device__ __forceinline__ void normals(uint4 w, double* out);
};

// sqrt(-2 ln u)
template <typename T> __device__ __forceinline__ T philox_radius(T u) {
    const T exponent = Philox<T>::split(u);
    const T f = rn_sub(u, T(1)), s = rn_div(f, rn_add(f, T(2))), z = rn_mul(s, s);
    const T half = rn_mul(rn_mul(f, f), T(0.5)), series = rn_mul(Philox<T>::logarithm_series(z), z);
    const T low = rn_add(rn_mul(rn_add(series, half), s), rn_mul(exponent, Philox<T>::LN2_LOW));
    const T log = rn_sub(rn_mul(exponent, Philox<T>::LN2_HIGH), rn_sub(rn_sub(half, low), f));
    return rn_sqrt(rn_mul(log, T(-2)));
}

// sin(π a / 2) for a in (0, 1)
template <typename T> __device__ __forceinline__ T philox_sine(T a) {
    return rn_add(rn_mul(Philox<T>::sine_series(rn_mul(a, a)), a), a);
}

// Two normal numbers by Box and Muller: a radius, and a direction in a quadrant that two more bits choose.
template <typename T>
__device__ __forceinline__ void philox_pair(T u, T a, bool left, bool below, T* out) {
    const T radius = philox_radius(u), x = rn_mul(radius, philox_sine(rn_sub(T(1), a)));
    const T y = rn_mul(radius, philox_sine(a));
    out[0] = left ? -x : x, out[1] = below ? -y : y;
}

__device__ __forceinline__ void Philox<float>::normals(uint4 w, float* out) {
    philox_pair(open_zero(w.x), uniform(w.y << 2), w.y >> 31, w.y >> 30 & 1, out);
    philox_pair(open_zero(w.z), uniform(w.w << 2), w.w >> 31, w.w >> 30 & 1, out + 2);
}

__device__ __forceinline__ void Philox<double>::normals(uint4 w, double* out) {
    philox_pair(open_zero(join(w.x, w.y)), uniform(join(w.z, w.w) << 2), w.w >> 31, w.w >> 30 & 1, out);
}

// Where a swap-or-not shuffle takes one of n rows; its keys are the words, rotated.
__device__ __forceinline__ unsigned philox_rotated(unsigned word, unsigned bits) {
    return bits ? word << bits | word >> (32 - bits) : word;
}
__device__ __forceinline__ unsigned philox_shuffled(unsigned x, unsigned n, uint4 words) {
    const unsigned w[4] = {words.x, words.y, words.z, words.w};
    #pragma unroll
    for (unsigned k = 0; k < 16; k++) {
        const unsigned a = philox_rotated(w[k % 4], k / 4 * 8), difference = __umulhi(a, n) - x;
        const unsigned other = min(difference, difference + n);  // modulo n
        if (((max(x, other) ^ a) * (w[(k + 1) % 4] | 1u)) >> 31) x = other;
    }
    x += __umulhi(w[0] ^ philox_rotated(w[1], 4) ^ philox_rotated(w[2], 12) ^ philox_rotated(w[3], 20), n);
    return min(x, x - n);
}

// The normal quantile at a level in (0, 1).
template <typename T> __device__ __forceinline__ T philox_quantile(double level) {
    const T q = T(rn_sub(level, 0.5));
    if (q <= T(0.425) && q >= T(-0.425)) return rn_mul(q, Philox<T>::middle(rn_sub(T(0.180625), rn_mul(q, q))));
    const T r = rn_mul(philox_radius(T(q < T(0) ? level : rn_sub(1.0, level))), T(0.70710678118654752440));
    const T z = r > T(5) ? Philox<T>::far(rn_sub(r, T(5))) : Philox<T>::tail(rn_sub(r, T(1.6)));
    return q < T(0) ? -z : z;
}

// The numbers of one counter of a block of steps; Index holds every count, for 64 bits are divided slowly.
template <typename T, bool NORMAL, typename Index>
__device__ __forceinline__ void philox_fill_one(T* out, const unsigned* keys, unsigned long long first_step,
                                                unsigned stream, Index i, Index blocks, Index replicas, Index size,
                                                Index inner, Index columns) {
    constexpr int N = Philox<T>::PER_BLOCK;
    const Index block = i % blocks, replica = i / blocks % replicas, step = i / blocks / replicas;
    const uint2 key = make_uint2(keys[2 * replica], keys[2 * replica + 1]);
    const uint4 words = philox_words(unsigned(block), stream, first_step + step, key);
    alignas(16) T made[N];
    if (NORMAL && !columns)
        Philox<T>::normals(words, made);
    else
        Philox<T>::uniforms(words, made);
    Index element = block * N, outer = element / inner, inside = element % inner;
    T* const all = out + (size_t)step * replicas * size;
    if (!columns && inner % N == 0 && (size_t)out % 16 == 0) {  // as one piece of memory
        struct alignas(16) Numbers { T made[N]; };
        T* const there = all + (outer * replicas + replica) * inner + inside;
        *reinterpret_cast<Numbers*>(there) = *reinterpret_cast<Numbers*>(made);
        return;
    }
    #pragma unroll
    for (int k = 0; k < N; k++, element++) {
        if (element < size && columns) {
            const Index n = inner / columns, row = inside / columns;
            const uint4 shuffle = philox_words(unsigned(outer * columns + element % columns), stream + 65536u,
                                               first_step + step, key);
            const double place = rn_add(double(philox_shuffled(unsigned(row), unsigned(n), shuffle)), double(made[k]));
            const double level = rn_div(place, double(n));
            made[k] = NORMAL ? philox_quantile<T>(level) : T(level);
        }
        if (element < size) all[(outer * replicas + replica) * inner + inside] = made[k];
        if (++inside == inner) inside = 0, outer++;
    }
}

// A block of steps of all replicas: out[step][outer][replica][inner]; an element's index is outer·inner's.
// A thread makes what one counter makes. With columns, the elements of each are stratified.
template <typename T, bool NORMAL>
__device__ __forceinline__ void philox_fill(T* out, const unsigned* keys, unsigned long long first_step,
                                            unsigned stream, long long steps, long long replicas,
                                            long long size, long long inner, long long columns = 0) {
    constexpr int N = Philox<T>::PER_BLOCK;
    const long long blocks = (size + N - 1) / N, i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= steps * replicas * blocks) return;
    if (steps * replicas * blocks <= 0x7fffffff && replicas * blocks * N <= 0x7fffffff)
        philox_fill_one<T, NORMAL, unsigned>(out, keys, first_step, stream, i, blocks, replicas, size, inner, columns);
    else
        philox_fill_one<T, NORMAL, unsigned long long>(out, keys, first_step, stream, i, blocks, replicas, size, inner,
                                                       columns);
}

extern "C" __global__ void __launch_bounds__(256)
philox_uniform_float32(float* out, const unsigned* keys, unsigned long long first_step, unsigned stream,
                       long long steps, long long replicas, long long size, long long inner) {
    philox_fill<float, false>(out, keys, first_step, stream, steps, replicas, size, inner);
}
extern "C" __global__ void __launch_bounds__(256)
philox_normal_float32(float* out, const unsigned* keys, unsigned long long first_step, unsigned stream,
                      long long steps, long long replicas, long long size, long long inner) {
    philox_fill<float, true>(out, keys, first_step, stream, steps, replicas, size, inner);
}
extern "C" __global__ void __launch_bounds__(256)
philox_uniform_float64(double* out, const unsigned* keys, unsigned long long first_step, unsigned stream,
                       long long steps, long long replicas, long long size, long long inner) {
    philox_fill<double, false>(out, keys, first_step, stream, steps, replicas, size, inner);
}
extern "C" __global__ void __launch_bounds__(256)
philox_normal_float64(double* out, const unsigned* keys, unsigned long long first_step, unsigned stream,
                      long long steps, long long replicas, long long size, long long inner) {
    philox_fill<double, true>(out, keys, first_step, stream, steps, replicas, size, inner);
}
extern "C" __global__ void __launch_bounds__(256)
philox_stratified_uniform_float32(float* out, const unsigned* keys, unsigned long long first_step, unsigned stream,
                                  long long steps, long long replicas, long long size, long long inner,
                                  long long columns) {
    philox_fill<float, false>(out, keys, first_step, stream, steps, replicas, size, inner, columns);
}
extern "C" __global__ void __launch_bounds__(256)
philox_stratified_uniform_float64(double* out, const unsigned* keys, unsigned long long first_step, unsigned stream,
                                  long long steps, long long replicas, long long size, long long inner,
                                  long long columns) {
    philox_fill<double, false>(out, keys, first_step, stream, steps, replicas, size, inner, columns);
}
extern "C" __global__ void __launch_bounds__(256)
philox_stratified_normal_float32(float* out, const unsigned* keys, unsigned long long first_step, unsigned stream,
                                 long long steps, long long replicas, long long size, long long inner,
                                 long long columns) {
    philox_fill<float, true>(out, keys, first_step, stream, steps, replicas, size, inner, columns);
}
extern "C" __global__ void __launch_bounds__(256)
philox_stratified_normal_float64(double* out, const unsigned* keys, unsigned long long first_step, unsigned stream,
                                 long long steps, long long replicas, long long size, long long inner,
                                 long long columns) {
    philox_fill<double, true>(out, keys, first_step, stream, steps, replicas, size, inner, columns);
}

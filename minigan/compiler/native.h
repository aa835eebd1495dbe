// What the loops of a step are made of on a CPU: T is float or double.
// Compiled without -ffast-math: NaN and infinities mean what they mean, only products and sums are fused.
#include <stddef.h>
#include <string.h>

typedef ptrdiff_t Index;  // of 32 bits the loops are slower, and gcc 12 got one of them wrong
#if defined _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif
#define INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define UNROLL _Pragma("GCC unroll 20")
// Ends a function that writes by loops alone: where all of them become vectors without a rest, gcc 12 takes it
// for one without effects, and leaves its calls out.
#define WRITTEN __asm__ volatile("" ::: "memory")

INLINE T maximum(T a, T b) { return a >= b || a != a ? a : b; }
INLINE T minimum(T a, T b) { return a <= b || a != a ? a : b; }
INLINE T square(T x) { return x * x; }
INLINE T sign(T x) { return x != x ? x : (T)((x > 0) - (x < 0)); }
INLINE T absolute(T x) { return x < 0 ? -x : x + 0; }  // −0 + 0 = 0

#ifdef DOUBLE
#define SIZE 8
typedef long long Bits;
enum { MANTISSA = 52, BIAS = 1023, TERMS = 13, SERIES = 11, SERIES1P = 17 };
#define MAGIC 6755399441055744.0
#define LOWEST -746.0
#define HIGHEST 710.0
#define LN2_HIGH 0.693147180369123816490
#define SMALLEST 2.2250738585072014e-308
#define LN2_LOW 1.90821492927058770002e-10
#define sqrt __builtin_sqrt
#define pow __builtin_pow
#else
#define SIZE 4
typedef int Bits;
enum { MANTISSA = 23, BIAS = 127, TERMS = 7, SERIES = 5, SERIES1P = 8 };
#define MAGIC 12582912.0f
#define LOWEST -104.0f
#define HIGHEST 89.0f
#define LN2_HIGH 0.693145751953125f
#define SMALLEST 1.17549435e-38f
#define LN2_LOW 1.428606765330187e-06f
#define sqrt __builtin_sqrtf
#define pow __builtin_powf
#endif
#define INFINITE ((T)__builtin_inf())
typedef union { T value; Bits bits; } Number;

INLINE T power_of_two(Bits k) { Number n = {.bits = (k + BIAS) << MANTISSA}; return n.value; }

// eʳ − 1 for |r| ≤ ln 2 / 2, by Taylor
INLINE T small_expm1(T r)
{
    T sum = 0, factorial = 1;
    UNROLL for (int n = 2; n <= TERMS; ++n) factorial *= n;
    UNROLL for (int n = TERMS; n >= 1; --n) { sum = sum * r + 1 / factorial; factorial /= n; }
    return sum * r;
}
// x = k ln 2 + r
INLINE T reduced(T x, Bits* k)
{
    x = x > HIGHEST ? HIGHEST : x;  // a NaN stays
    x = x < LOWEST ? LOWEST : x;
    const T shifted = x * (T)1.44269504088896341 + MAGIC, whole = shifted - MAGIC;
    const Number n = {.value = shifted}, zero = {.value = MAGIC};
    *k = n.bits - zero.bits;
    return (x - whole * LN2_HIGH) - whole * LN2_LOW;
}
INLINE T exponential(T x)
{
    Bits k;
    const T r = reduced(x, &k), e = small_expm1(r) + 1;
    return e * power_of_two(k >> 1) * power_of_two(k - (k >> 1));
}
INLINE T exponential_less_one(T x)
{
    Bits k;
    const T r = reduced(x < -40 ? (T)-40 : x, &k), e = small_expm1(r), half = power_of_two(k - 1);
    return 2 * (half * e + (half - (T)0.5));
}
#ifdef DOUBLE
INLINE T hyperbolic_tangent(T x)
{
    const T size = absolute(x), e = exponential_less_one(2 * (size > 22 ? (T)22 : size)), y = e / (e + 2);
    return x < 0 ? -y : y;
}
#else
// x P(x²) / Q(x²), fitted to 6e-9 where tanh x is not ±1; of |x|, which is kept within bounds sooner than x
INLINE T hyperbolic_tangent(T x)
{
    Number n = {.value = x};
    const Bits sign = n.bits & ~(Bits)0x7fffffff;
    n.bits ^= sign;
    const T size = n.value > 7.905f ? 7.905f : n.value, z = size * size;  // a NaN stays
    const T p = (((1.54182381e-08f * z + 2.20169462e-05f) * z + 3.57863095e-03f) * z + 1.34503219e-01f) * z + 1;
    const T q = (((8.59503101e-07f * z + 3.4230463e-04f) * z + 2.61908815e-02f) * z + 4.67836498e-01f) * z + 1;
    n.value = size * p / q;
    n.bits |= sign;
    return n.value;
}
#endif
// 2 artanh s = 2 (s + s³/3 + s⁵/5 …)
INLINE T twice_artanh(T s, int terms)
{
    const T z = s * s;
    T sum = 0;
    UNROLL for (int n = terms; n >= 1; --n) sum = sum * z + (T)1 / (2 * n + 1);
    return 2 * (s + s * z * sum);
}
INLINE T logarithm(T x)
{
    const T more = x < SMALLEST ? MANTISSA : 0;  // what has no leading bit is multiplied by 2 to this power
    const Number n = {.value = more ? x * (T)((Bits)1 << MANTISSA) : x}, low = {.value = (T)0.70710678118654752};
    const Bits k = (n.bits - low.bits) >> MANTISSA;
    const Number m = {.bits = n.bits - k * ((Bits)1 << MANTISSA)};
    const T power = (T)k - more, series = twice_artanh((m.value - 1) / (m.value + 1), SERIES);
    const T y = series + power * LN2_LOW + power * LN2_HIGH;
    T special = x == INFINITE ? x : y;
    special = x == 0 ? -INFINITE : special;
    special = x < 0 ? (T)__builtin_nan("") : special;
    return x != x ? x : special;
}
INLINE T logaddexp(T a, T b)
{
    const T high = maximum(a, b), low = minimum(a, b), u = exponential(low - high);
    return low == high ? high + (T)0.693147180559945309 : high + twice_artanh(u / (2 + u), SERIES1P);
}

// What the functions of a step are called in CUDA, where the same expressions are compiled.
#define fabs absolute
#define exp exponential
#define expm1 exponential_less_one
#define log logarithm
#define tanh hyperbolic_tangent

// ── products of matrices ────────────────────────────────────────────────────────────────────────────────────
#if defined __AVX512F__
#define BYTES 64
enum { HIGH = 8 };
#elif defined __AVX__
#define BYTES 32
enum { HIGH = 4 };
#else
#define BYTES 16
enum { HIGH = 4 };
#endif
#define LANES (BYTES / SIZE)
typedef T V __attribute__((vector_size(BYTES), aligned(sizeof(T)), may_alias));

// c = a b, or c += a b where there is more of it, for R ≤ HIGH rows and C ≤ 2 vectors of columns, in registers;
// an, ak, bk, cn are strides.
INLINE void tile(const int more, const int R, const int C, const Index K, const T* a, const Index an, const Index ak,
                 const T* b, const Index bk, T* c, const Index cn)
{
    V sum[HIGH][2] = {};
    for (Index k = 0; k < K; ++k) {
        V row[2];
        for (Index q = 0; q < C; ++q) row[q] = *(const V*)(b + k * bk + q * LANES);
        UNROLL
        for (Index r = 0; r < R; ++r)
            for (Index q = 0; q < C; ++q) sum[r][q] += a[r * an + k * ak] * row[q];
    }
    UNROLL
    for (Index r = 0; r < R; ++r)
        for (Index q = 0; q < C; ++q) {
            V* const place = (V*)(c + r * cn + q * LANES);
            if (more) sum[r][q] += *place;
            *place = sum[r][q];
        }
}
// The same for one row, whose terms are dealt to four sums: each waits for the one before it.
INLINE void row(const int more, const int C, const Index K, const T* a, const Index ak, const T* b, const Index bk,
                T* c)
{
    V sum[4][2] = {};
    Index k = 0;
    for (; k + 4 <= K; k += 4)
        UNROLL
        for (Index s = 0; s < 4; ++s)
            for (Index q = 0; q < C; ++q) sum[s][q] += a[(k + s) * ak] * *(const V*)(b + (k + s) * bk + q * LANES);
    for (; k < K; ++k)
        for (Index q = 0; q < C; ++q) sum[0][q] += a[k * ak] * *(const V*)(b + k * bk + q * LANES);
    for (Index q = 0; q < C; ++q) {
        V* const place = (V*)(c + q * LANES);
        V all = (sum[0][q] + sum[1][q]) + (sum[2][q] + sum[3][q]);
        if (more) all += *place;
        *place = all;
    }
}
INLINE void strip(const int more, const int R, const int C, const Index K, const T* a, const Index an, const Index ak,
                 const T* b, const Index bk, T* c, const Index cn)
{
    if (R == 1) row(more, C, K, a, ak, b, bk, c);
    else tile(more, R, C, K, a, an, ak, b, bk, c, cn);
}
// R rows of a product with m columns; the last vector may cover columns a second time, which are added once.
INLINE void product(const int more, const int R, const Index m, const Index K, const T* a, const Index an,
                    const Index ak, const T* b, const Index bk, T* c)
{
    if (m < LANES) {
        for (Index r = 0; r < R; ++r) {
            for (Index j = 0; j < m && !more; ++j) c[r * m + j] = 0;
            for (Index k = 0; k < K; ++k) {
                #pragma omp simd
                for (Index j = 0; j < m; ++j) c[r * m + j] += a[r * an + k * ak] * b[k * bk + j];
            }
        }
        return;
    }
    Index j = 0;
    for (; j + 2 * LANES <= m; j += 2 * LANES) strip(more, R, 2, K, a, an, ak, b + j, bk, c + j, m);
    if (j + LANES <= m) strip(more, R, 1, K, a, an, ak, b + j, bk, c + j, m), j += LANES;
    if (j < m && !more) strip(0, R, 1, K, a, an, ak, b + m - LANES, bk, c + m - LANES, m);
    if (j < m && more) {
        T last[HIGH * LANES];
        strip(0, R, 1, K, a, an, ak, b + m - LANES, bk, last, LANES);
        for (Index r = 0; r < R; ++r)
            for (Index q = j; q < m; ++q) c[r * m + q] += last[r * LANES + q - (m - LANES)];
    }
}

// c = a b for n rows and one column, in vectors along the rows, whose lanes are then added for LANES rows at once:
// neighbours first, then pairs of them.
#ifdef __has_builtin
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLE __builtin_shufflevector
#endif
#endif
#ifdef SHUFFLE
#define HERE(l, w) ((l) & (w) ? LANES + (l) - (w) : (l))
#define BESIDE(l, w) ((l) & (w) ? LANES + (l) : (l) + (w))
#define TWO(f, l, w) f(l, w), f(l + 1, w)
#define FOUR(f, l, w) TWO(f, l, w), TWO(f, l + 2, w)
#define EIGHT(f, l, w) FOUR(f, l, w), FOUR(f, l + 4, w)
#if LANES == 16
#define ALL(f, w) EIGHT(f, 0, w), EIGHT(f, 8, w)
#elif LANES == 8
#define ALL(f, w) EIGHT(f, 0, w)
#elif LANES == 4
#define ALL(f, w) FOUR(f, 0, w)
#else
#define ALL(f, w) TWO(f, 0, w)
#endif
#define ADD_LANES(v, w) \
    UNROLL \
    for (int r = 0; r < LANES / 2 / w; ++r) \
        v[r] = SHUFFLE(v[2 * r], v[2 * r + 1], ALL(HERE, w)) + SHUFFLE(v[2 * r], v[2 * r + 1], ALL(BESIDE, w))
// w × w blocks off the diagonal of pairs of them change places
#define EXCHANGE(v, w) \
    UNROLL \
    for (int r = 0; r < LANES; ++r) \
        if (!(r & w)) { \
            const V low = v[r], high = v[r + w]; \
            v[r] = SHUFFLE(low, high, ALL(HERE, w)); \
            v[r + w] = SHUFFLE(low, high, ALL(BESIDE, w)); \
        }

INLINE void dots(const Index n, const Index K, const T* a, const Index an, const T* b, T* c)
{
    for (Index i = 0; i < n; i += LANES) {
        const Index rows = n - i < LANES ? n - i : LANES;
        union { V lanes[LANES]; T values[LANES]; } sum;
        UNROLL
        for (Index r = 0; r < LANES; ++r) {
            const T* const x = a + (i + (r < rows ? r : 0)) * an;
            V v = {};
            for (Index k = 0; k + LANES <= K; k += LANES) v += *(const V*)(x + k) * *(const V*)(b + k);
            sum.lanes[r] = v;
        }
        ADD_LANES(sum.lanes, 1);
#if LANES > 2
        ADD_LANES(sum.lanes, 2);
#endif
#if LANES > 4
        ADD_LANES(sum.lanes, 4);
#endif
#if LANES > 8
        ADD_LANES(sum.lanes, 8);
#endif
        for (Index r = 0; r < rows; ++r) {
            T rest = sum.values[r];
            for (Index k = K / LANES * LANES; k < K; ++k) rest += a[(i + r) * an + k] * b[k];
            c[i + r] = rest;
        }
    }
}
#else
INLINE void dots(const Index n, const Index K, const T* a, const Index an, const T* b, T* c)
{
    for (Index i = 0; i < n; ++i) {
        T sum = 0;
        #pragma omp simd reduction(+:sum)
        for (Index k = 0; k < K; ++k) sum += a[i * an + k] * b[k];
        c[i] = sum;
    }
}
#endif

// out[k][j] = a[j][k] of n rows and m columns, block by block as the cache likes it
static void transpose(const Index n, const Index m, const T* a, const Index an, const Index am, T* restrict out)
{
#ifdef SHUFFLE
    if (am == 1 && n % LANES == 0 && m % LANES == 0) {
        for (Index j = 0; j < n; j += LANES)
            for (Index k = 0; k < m; k += LANES) {
                V rows[LANES];
                UNROLL
                for (Index r = 0; r < LANES; ++r) rows[r] = *(const V*)(a + (j + r) * an + k);
                EXCHANGE(rows, 1);
#if LANES > 2
                EXCHANGE(rows, 2);
#endif
#if LANES > 4
                EXCHANGE(rows, 4);
#endif
#if LANES > 8
                EXCHANGE(rows, 8);
#endif
                UNROLL
                for (Index q = 0; q < LANES; ++q) *(V*)(out + (k + q) * n + j) = rows[q];
            }
        return;
    }
#endif
    for (Index j = 0; j < n; j += 16)
        for (Index k = 0; k < m; k += 16)
            for (Index q = k; q < k + 16 && q < m; ++q)
                for (Index r = j; r < j + 16 && r < n; ++r) out[q * n + r] = a[r * an + q * am];
}

// NumPy's elementwise functions that C has not, with NumPy's values for NaN and infinities.

template <class T> __device__ __forceinline__ T maximum(T a, T b) { return a >= b || a != a ? a : b; }
template <class T> __device__ __forceinline__ T minimum(T a, T b) { return a <= b || a != a ? a : b; }
template <class T> __device__ __forceinline__ T square(T x) { return x * x; }
template <class T> __device__ __forceinline__ T sign(T x) { return x != x ? x : T((x > T(0)) - (x < T(0))); }

// log(eᵃ + eᵇ), exact in both tails
template <class T> __device__ __forceinline__ T logaddexp(T a, T b)
{
    const T high = maximum(a, b), low = minimum(a, b);
    return low == high ? high + T(0.693147180559945309) : high + log1p(exp(low - high));
}

// tanh x: a polynomial where x is small, else by one exponential. Both are computed, without a branch: of the lanes
// of a warp some need the one and some the other. Within 1.5 units of 2⁻²³, relative; the coefficients are minimax.
__device__ __forceinline__ double hyperbolic_tangent(double x) { return tanh(x); }
__device__ __forceinline__ float hyperbolic_tangent(float x)
{
    const float z = x * x, series = ((0.01561259f * z - 0.05221178f) * z + 0.13313116f) * z - 0.33332597f;
    const float small = x + x * (series * z);
    const float large = 1.0f - __fdividef(1.0f, exp2f(2.8853900818f * fabsf(x) - 1.0f) + 0.5f);
    return fabsf(x) < 0.6f ? small : copysignf(large, x);
}
#define tanh hyperbolic_tangent

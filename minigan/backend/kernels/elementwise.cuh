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

// CUDA C for g++: the names that our kernels use, and a processor that runs a grid block after block.
//
// A block's threads are fibers of one thread of the CPU: each runs until a barrier, then the next; after a
// barrier in the opposite order, so that what should have waited shows. With MINIGAN_THREADS (the sanitizers)
// each is a thread of the system. Shared memory is full of NaN when a block starts.
//
// Nothing of the C++ library is included: it would be most of what there is to compile in a small kernel.
#pragma once
#define MINIGAN_HOST
#define _GLIBCXX_INCLUDE_NEXT_C_HEADERS  // C's math.h itself

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#ifdef MINIGAN_THREADS
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <setjmp.h>
#include <ucontext.h>
#endif

// ── words of the language ──────────────────────────────────────────────────────────────────────────────────
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static __attribute__((section("minigan_shared")))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define DYNAMIC_SHARED(type, name) type* name = reinterpret_cast<type*>(minigan::dynamic_shared)

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct float3 { float x, y, z; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline double2 make_double2(double x, double y) { return {x, y}; }

#ifdef MINIGAN_THREADS
static thread_local uint3 threadIdx, blockIdx;
#else
static uint3 threadIdx, blockIdx;
#endif
static dim3 blockDim, gridDim;
static const int warpSize = 32;

extern char __start_minigan_shared[] __attribute__((weak)), __stop_minigan_shared[] __attribute__((weak));

// ── the processor ──────────────────────────────────────────────────────────────────────────────────────────
namespace minigan {

enum Status { RAN, DIVERGED, OVERFLOWED };
enum Wait { NOTHING, BLOCK, WARP };
const size_t MARGIN = 4096;  // behind dynamic shared memory: writes there are seen
const unsigned MOST_THREADS = 1024;  // of a block

struct Call {  // of a kernel: of its type a function that makes the call
    void (*kernel)();
    void** args;
    void (*made)(const Call&);
};

static unsigned char* dynamic_shared;
static uint64_t lanes[32][32];  // what each lane of each warp shows the others in a shuffle

static unsigned linear() { return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z); }

static uint3 thread_at(unsigned t) {
    return {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
}

#ifdef MINIGAN_THREADS

// A leaver looks at the round alone, not at who has come to the next one: that would hide races between them.
struct Barrier {
    unsigned state, round;  // members in the upper half of the state, those that wait in the lower

    void change(unsigned by, bool waits) {
        const unsigned now = __atomic_load_n(&round, __ATOMIC_RELAXED);
        unsigned old = __atomic_load_n(&state, __ATOMIC_RELAXED), next;
        bool last;
        do {
            next = old + by;
            last = next >> 16 == (next & 0xffff);
            if (last) next &= ~0xffffu;
        } while (!__atomic_compare_exchange_n(&state, &old, next, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
        if (last) {
            __atomic_store_n(&round, now + 1, __ATOMIC_RELEASE);
            syscall(SYS_futex, &round, FUTEX_WAKE_PRIVATE, MOST_THREADS, nullptr, nullptr, 0);
        } else if (waits)
            while (__atomic_load_n(&round, __ATOMIC_ACQUIRE) == now)
                syscall(SYS_futex, &round, FUTEX_WAIT_PRIVATE, now, nullptr, nullptr, 0);
    }
    void arrive() { change(1, true); }
    void drop() { change(unsigned(-1) << 16, false); }
};

static Barrier of_block, of_warp[MOST_THREADS / 32];

static void wait(Wait kind) { (kind == BLOCK ? of_block : of_warp[linear() / 32]).arrive(); }

struct Thread {
    pthread_t handle;
    unsigned index;
    uint3 block;
    const Call* call;
};

static void* thread_main(void* given) {
    const Thread& self = *static_cast<Thread*>(given);
    threadIdx = thread_at(self.index), blockIdx = self.block;
    self.call->made(*self.call);
    of_warp[self.index / 32].drop();
    of_block.drop();
    return nullptr;
}

static Status run_block(unsigned count, const Call& call) {
    of_block = {count << 16, 0};
    for (unsigned w = 0; w * 32 < count; w++)
        of_warp[w] = {(count - w * 32 < 32 ? count - w * 32 : 32) << 16, 0};
    static Thread threads[MOST_THREADS];
    for (unsigned t = 0; t < count; t++) {
        threads[t].index = t, threads[t].block = blockIdx, threads[t].call = &call;
        if (pthread_create(&threads[t].handle, nullptr, thread_main, &threads[t])) exit(4);
    }
    for (unsigned t = 0; t < count; t++) pthread_join(threads[t].handle, nullptr);
    return RAN;
}

#else

struct Fiber {
    jmp_buf at;
    char* stack;  // its lower end; the fiber itself is at the upper one, on the page that its thread uses
    unsigned thread;
    uint3 index;
    Wait waits;
    bool begun;
};

const size_t STACK = 1 << 18, PAGE = 1 << 14;
static Fiber* fibers[MOST_THREADS];  // made when first needed, kept for the next launch
static Fiber* ready[MOST_THREADS];   // those that a barrier lets go on, and which of them is next
static size_t fiber_count, ready_count, next_ready;
static Fiber* current;
static jmp_buf scheduler;
static unsigned next_thread, thread_count, left;
static const Call* running;

static void jump_to(Fiber* fiber) {
    current = fiber, fiber->waits = NOTHING, threadIdx = fiber->index;
    _longjmp(fiber->at, 1);
}

// The other threads' fibers run in between.
__attribute__((noinline)) static void wait(Wait kind) {
    current->waits = kind;
    if (_setjmp(current->at)) return;
    if (next_ready < ready_count) jump_to(ready[next_ready++]);
    _longjmp(scheduler, 1);
}

// A fiber takes one thread after another until one waits: without barriers it is a plain loop.
static void fiber_main() {
    for (;;) {
        while (next_thread < thread_count) {
            current->thread = next_thread++;
            threadIdx = current->index = thread_at(current->thread);
            running->made(*running);
            left++;
        }
        wait(NOTHING);
    }
}

__attribute__((noinline)) static void resume(Fiber* fiber) {
    if (_setjmp(scheduler)) return;
    if (fiber->begun) jump_to(fiber);
    current = fiber, fiber->begun = true;
    ucontext_t start;
    getcontext(&start);
    start.uc_stack.ss_sp = fiber->stack;
    start.uc_stack.ss_size = (reinterpret_cast<char*>(fiber) - fiber->stack) / 64 * 64;
    start.uc_link = nullptr;
    makecontext(&start, fiber_main, 0);
    setcontext(&start);
}

static Fiber* fiber(size_t k) {
    if (k == fiber_count) {
        void* memory = mmap(nullptr, STACK, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        char* stack = static_cast<char*>(memory);
        mprotect(stack, PAGE, PROT_NONE);  // a stack that is too small ends in a fault, not in wrong numbers
        // Not all at one place in a page: the cache would hold only a few of them.
        auto made = reinterpret_cast<Fiber*>(stack + STACK - 512 - k % 8 * 384);
        made->stack = stack, made->waits = NOTHING, made->begun = false;
        fibers[fiber_count++] = made;
    }
    return fibers[k];
}

// Where threads of the block (of one warp, if it is given) all wait at this barrier: let them go on.
static bool release(size_t used, bool backwards, Wait kind, int warp) {
    ready_count = 0;
    for (size_t k = 0; k < used; k++) {
        Fiber* f = fibers[backwards ? used - 1 - k : k];
        if (f->waits == NOTHING || (kind == WARP && int(f->thread / 32) != warp)) continue;
        if (f->waits != kind) return ready_count = 0, false;
        ready[ready_count++] = f;
    }
    if (!ready_count) return false;
    next_ready = 1;
    resume(ready[0]);  // which lets the second go on, and so forth
    return ready_count = 0, true;
}

static Status run_block(unsigned count, const Call& call) {
    running = &call, next_thread = 0, thread_count = count, left = 0;
    size_t used = 0;
    while (next_thread < count) resume(fiber(used++));
    for (bool backwards = true; left < count; backwards = !backwards) {
        bool moved = false;
        for (unsigned w = 0; w * 32 < count; w++) moved |= release(used, backwards, WARP, w);
        if (moved) continue;
        if (left == 0) moved = release(used, backwards, BLOCK, 0);
        if (!moved) {  // those that wait will never go on: their fibers are given up
            fiber_count = 0;
            return DIVERGED;
        }
    }
    return RAN;
}

#endif

static Status run(const unsigned* grid, const unsigned* block, size_t shared, const Call& call) {
    gridDim = {grid[0], grid[1], grid[2]}, blockDim = {block[0], block[1], block[2]};
#ifdef MINIGAN_THREADS
    const size_t margin = 0;  // of its exact size, for AddressSanitizer
#else
    const size_t margin = MARGIN;
#endif
    dynamic_shared = static_cast<unsigned char*>(malloc(shared + margin));
    Status status = RAN;
    for (unsigned z = 0; z < grid[2]; z++)
        for (unsigned y = 0; y < grid[1]; y++)
            for (unsigned x = 0; x < grid[0] && status == RAN; x++) {
                blockIdx = {x, y, z};
                memset(dynamic_shared, 0xff, shared + margin);  // NaN in float and in double
                if (__start_minigan_shared)
                    memset(__start_minigan_shared, 0xff, __stop_minigan_shared - __start_minigan_shared);
                status = run_block(block[0] * block[1] * block[2], call);
                for (size_t i = shared; i < shared + margin && status == RAN; i++)
                    if (dynamic_shared[i] != 0xff) status = OVERFLOWED;
            }
    free(dynamic_shared);
    return status;
}

// ── from Python: a kernel's parameters are deduced, not parsed ─────────────────────────────────────────────
inline char* number(char* text, size_t n) {
    if (n > 9) text = number(text, n / 10);
    *text++ = char('0' + n % 10);
    return text;
}

// One letter and a size: r and w are pointers to const and to what may be written.
template <class T> struct Spelled {
    static char* at(char* text) { return *text++ = 'V', number(text, sizeof(T)); }  // a struct
};
#define MINIGAN_SPELLED(letter, type)                                                                        \
    template <> inline char* Spelled<type>::at(char* text) {                                                 \
        return *text++ = letter, number(text, sizeof(type));                                                 \
    }
MINIGAN_SPELLED('b', bool)
MINIGAN_SPELLED('f', float)
MINIGAN_SPELLED('f', double)
MINIGAN_SPELLED('i', char)
MINIGAN_SPELLED('i', signed char)
MINIGAN_SPELLED('i', short)
MINIGAN_SPELLED('i', int)
MINIGAN_SPELLED('i', long)
MINIGAN_SPELLED('i', long long)
MINIGAN_SPELLED('u', unsigned char)
MINIGAN_SPELLED('u', unsigned short)
MINIGAN_SPELLED('u', unsigned)
MINIGAN_SPELLED('u', unsigned long)
MINIGAN_SPELLED('u', unsigned long long)
template <> struct Spelled<void> {
    static char* at(char* text) { return *text++ = 'V', *text++ = '0', text; }
};
template <class T> struct Spelled<T*> {
    static char* at(char* text) { return *text++ = 'w', Spelled<T>::at(text); }
};
template <class T> struct Spelled<const T*> {
    static char* at(char* text) { return *text++ = 'r', Spelled<T>::at(text); }
};

template <class... P> const char* signature(void (*)(P...)) {
    static char text[16 * (sizeof...(P) + 1)];
    char* end = text;
    ((end = Spelled<P>::at(end), *end++ = ' '), ...);
    *end = 0;
    return text;
}

struct Made {  // braces, unlike parentheses, take arguments in their order
    template <class... P> Made(void (*kernel)(P...), P... p) { kernel(p...); }
};

template <class... P>
int launch(void (*kernel)(P...), const unsigned* grid, const unsigned* block, size_t shared, void** args) {
    return run(grid, block, shared, {reinterpret_cast<void (*)()>(kernel), args, [](const Call& call) {
        [[maybe_unused]] void** arg = call.args;
        Made{reinterpret_cast<void (*)(P...)>(call.kernel), *static_cast<P*>(*arg++)...};
    }});
}

template <class T> struct Identity { typedef T type; };
template <class T> using Same = typename Identity<T>::type;  // from which T is not deduced

}  // namespace minigan

// ── barriers, shuffles, atomics ────────────────────────────────────────────────────────────────────────────
static inline void __syncthreads() { minigan::wait(minigan::BLOCK); }
static inline void __syncwarp(unsigned = ~0u) { minigan::wait(minigan::WARP); }
static inline void __threadfence() {}
static inline void __threadfence_block() {}

namespace minigan {
// Every lane of the warp takes part, whatever the mask: as our kernels use it.
template <class T> T shuffle(T value, int from, bool valid) {
    const unsigned t = linear(), warp = t / 32;
    memcpy(&lanes[warp][t % 32], &value, sizeof(T));
    wait(WARP);
    if (valid) memcpy(&value, &lanes[warp][from], sizeof(T));
    wait(WARP);
    return value;
}
inline int lane() { return int(linear() % 32); }
}  // namespace minigan

template <class T> T __shfl_sync(unsigned, T value, int from) {
    return minigan::shuffle(value, from & 31, true);
}
template <class T> T __shfl_xor_sync(unsigned, T value, int mask) {
    return minigan::shuffle(value, (minigan::lane() ^ mask) & 31, true);
}
template <class T> T __shfl_down_sync(unsigned, T value, unsigned delta) {
    const int from = minigan::lane() + int(delta);
    return minigan::shuffle(value, from & 31, from < 32);
}
template <class T> T __shfl_up_sync(unsigned, T value, unsigned delta) {
    const int from = minigan::lane() - int(delta);
    return minigan::shuffle(value, from & 31, from >= 0);
}

namespace minigan {
static float fragments[32][32][6];  // what each lane of each warp has of the factors of a tile

// A number of TF32: of its bits a tensor core takes these.
inline float tf32(unsigned x) {
    x &= 0xffffe000u;
    float value;
    memcpy(&value, &x, sizeof value);
    return value;
}
}  // namespace minigan

// mma.sync m16n8k8 of TF32: products are exact, and their sum with d is rounded once.
static inline void mma_tf32(float (&d)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0,
                            unsigned b1) {
    auto& all = minigan::fragments[minigan::linear() / 32];
    const unsigned lane = minigan::linear() % 32, words[] = {a0, a1, a2, a3, b0, b1};
    for (int k = 0; k < 6; k++) all[lane][k] = minigan::tf32(words[k]);
    minigan::wait(minigan::WARP);
    for (int q = 0; q < 4; q++) {
        const unsigned row = lane / 4 % 8, column = lane % 4 * 2 + q % 2;
        double sum = d[q];
        for (unsigned k = 0; k < 8; k++)
            sum += double(all[row * 4 + k % 4][q / 2 + k / 4 * 2]) * all[column * 4 + k % 4][4 + k / 4];
        d[q] = float(sum);
    }
    minigan::wait(minigan::WARP);
}

namespace minigan {
template <class T, class F> T atomic(T* at, F change) {
    T old, now;
    __atomic_load(at, &old, __ATOMIC_RELAXED);
    do now = change(old);
    while (!__atomic_compare_exchange(at, &old, &now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return old;
}
}  // namespace minigan
template <class T> T atomicAdd(T* at, minigan::Same<T> x) {
    return minigan::atomic(at, [=](T old) { return T(old + x); });
}
template <class T> T atomicMax(T* at, minigan::Same<T> x) {
    return minigan::atomic(at, [=](T old) { return old < x ? x : old; });
}
template <class T> T atomicMin(T* at, minigan::Same<T> x) {
    return minigan::atomic(at, [=](T old) { return x < old ? x : old; });
}
template <class T> T atomicOr(T* at, minigan::Same<T> x) {
    return minigan::atomic(at, [=](T old) { return T(old | x); });
}
template <class T> T atomicAnd(T* at, minigan::Same<T> x) {
    return minigan::atomic(at, [=](T old) { return T(old & x); });
}
template <class T> T atomicExch(T* at, minigan::Same<T> x) {
    return minigan::atomic(at, [=](T) { return x; });
}
template <class T> T atomicCAS(T* at, minigan::Same<T> expected, minigan::Same<T> x) {
    return minigan::atomic(at, [=](T old) { return old == expected ? x : old; });
}

// ── arithmetic; -ffp-contract=off keeps a product and a sum two operations ─────────────────────────────────
static inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
static inline int __mulhi(int a, int b) { return int((int64_t(a) * b) >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __frcp_rn(float a) { return 1.0f / a; }
static inline float __fsqrt_rn(float a) { return sqrtf(a); }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __ddiv_rn(double a, double b) { return a / b; }
static inline double __drcp_rn(double a) { return 1.0 / a; }
static inline double __dsqrt_rn(double a) { return sqrt(a); }
static inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
#define __expf expf  // of these two glibc has names of its own
#define __logf logf
static inline float __fdividef(float a, float b) { return a / b; }
static inline float rsqrtf(float a) { return 1.0f / sqrtf(a); }
static inline double rsqrt(double a) { return 1.0 / sqrt(a); }
static inline float sinpif(float a) { return float(sin(M_PI * remainder(double(a), 2.0))); }
static inline float cospif(float a) { return float(cos(M_PI * remainder(double(a), 2.0))); }
static inline double sinpi(double a) { return sin(M_PI * remainder(a, 2.0)); }
static inline double cospi(double a) { return cos(M_PI * remainder(a, 2.0)); }
static inline void sincospif(float a, float* s, float* c) { *s = sinpif(a), *c = cospif(a); }
static inline void sincospi(double a, double* s, double* c) { *s = sinpi(a), *c = cospi(a); }
static inline float normcdff(float a) { return float(0.5 * erfc(-double(a) * M_SQRT1_2)); }
static inline double normcdf(double a) { return 0.5 * erfc(-a * M_SQRT1_2); }

namespace minigan {
template <class To, class From> To bits(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
}  // namespace minigan
static inline int __float_as_int(float a) { return minigan::bits<int>(a); }
static inline unsigned __float_as_uint(float a) { return minigan::bits<unsigned>(a); }
static inline float __int_as_float(int a) { return minigan::bits<float>(a); }
static inline float __uint_as_float(unsigned a) { return minigan::bits<float>(a); }
static inline long long __double_as_longlong(double a) { return minigan::bits<long long>(a); }
static inline double __longlong_as_double(long long a) { return minigan::bits<double>(a); }
static inline int __float2int_rn(float a) { return int(rintf(a)); }
static inline float __int2float_rn(int a) { return float(a); }
static inline float __uint2float_rn(unsigned a) { return float(a); }
static inline double __ull2double_rn(unsigned long long a) { return double(a); }
template <class T> T __ldg(const T* at) { return *at; }

// CUDA's overloads of C's functions, as C++ has them too.
#define MINIGAN_UNARY(name) static inline float name(float a) { return __builtin_##name##f(a); }
#define MINIGAN_BINARY(name) static inline float name(float a, float b) { return __builtin_##name##f(a, b); }
MINIGAN_UNARY(exp) MINIGAN_UNARY(exp2) MINIGAN_UNARY(expm1) MINIGAN_UNARY(log) MINIGAN_UNARY(log2)
MINIGAN_UNARY(log10) MINIGAN_UNARY(log1p) MINIGAN_UNARY(sqrt) MINIGAN_UNARY(cbrt) MINIGAN_UNARY(fabs)
MINIGAN_UNARY(sin) MINIGAN_UNARY(cos) MINIGAN_UNARY(tan) MINIGAN_UNARY(atan) MINIGAN_UNARY(tanh)
MINIGAN_UNARY(sinh) MINIGAN_UNARY(cosh) MINIGAN_UNARY(erf) MINIGAN_UNARY(erfc) MINIGAN_UNARY(floor)
MINIGAN_UNARY(ceil) MINIGAN_UNARY(trunc) MINIGAN_UNARY(rint) MINIGAN_UNARY(round)
MINIGAN_BINARY(pow) MINIGAN_BINARY(atan2) MINIGAN_BINARY(fmod) MINIGAN_BINARY(fmin) MINIGAN_BINARY(fmax)
static inline float fma(float a, float b, float c) { return fmaf(a, b, c); }

static inline int min(int a, int b) { return b < a ? b : a; }
static inline int max(int a, int b) { return a < b ? b : a; }
static inline unsigned min(unsigned a, unsigned b) { return b < a ? b : a; }
static inline unsigned max(unsigned a, unsigned b) { return a < b ? b : a; }
static inline long long min(long long a, long long b) { return b < a ? b : a; }
static inline long long max(long long a, long long b) { return a < b ? b : a; }
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }

// ── for each kernel: what Python calls, or, in a program of its own, finds by name ─────────────────────────
#ifndef MINIGAN_THREADS

#define MINIGAN_KERNEL(name)                                                                                 \
    extern "C" __attribute__((visibility("default"))) const char* minigan_signature_##name() {               \
        return minigan::signature(name);                                                                     \
    }                                                                                                        \
    extern "C" __attribute__((visibility("default"))) int minigan_launch_##name(                             \
        const unsigned* grid, const unsigned* block, size_t shared, void** args) {                           \
        return minigan::launch(name, grid, block, shared, args);                                             \
    }

#else

namespace minigan {
struct Entry {
    const char *name, *signature;
    int (*launch)(const unsigned*, const unsigned*, size_t, void**);
    Entry* next;
};
static Entry* entries;

template <class T> T* zeros(size_t count) { return static_cast<T*>(calloc(count, sizeof(T))); }

template <class T> T read_one(FILE* file) {
    T value;
    if (fread(&value, sizeof value, 1, file) != 1) exit(3);
    return value;
}
}  // namespace minigan

#define MINIGAN_KERNEL(name)                                                                                 \
    static minigan::Entry minigan_entry_##name = {#name, minigan::signature(name),                           \
        [](const unsigned* grid, const unsigned* block, size_t shared, void** args) {                        \
            return minigan::launch(name, grid, block, shared, args); }, minigan::entries};                   \
    static bool minigan_listed_##name = (minigan::entries = &minigan_entry_##name, true);

// program: one line per kernel and its parameters.  program NAME FILE: one launch, described by the file and
// written back to it: grid, block, shared bytes, count; then for each argument a flag (array?), size, bytes.
int main(int count, char** words) {
    if (count == 1) {
        for (auto entry = minigan::entries; entry; entry = entry->next)
            printf("%s %s\n", entry->name, entry->signature);
        return 0;
    }
    FILE* file = fopen(words[2], "r+b");
    if (!file) return 3;
    unsigned grid[3], block[3];
    for (auto& n : grid) n = minigan::read_one<uint32_t>(file);
    for (auto& n : block) n = minigan::read_one<uint32_t>(file);
    const size_t shared = minigan::read_one<uint64_t>(file), many = minigan::read_one<uint64_t>(file);
    auto values = minigan::zeros<void*>(many), args = minigan::zeros<void*>(many);
    auto is_array = minigan::zeros<uint64_t>(many), size = minigan::zeros<uint64_t>(many);
    for (size_t i = 0; i < many; i++) {
        is_array[i] = minigan::read_one<uint64_t>(file), size[i] = minigan::read_one<uint64_t>(file);
        values[i] = aligned_alloc(16, (size[i] + 15) / 16 * 16);
        if (is_array[i]) values[i] = (free(values[i]), malloc(size[i]));  // AddressSanitizer knows its end
        if (fread(values[i], 1, size[i], file) != size[i]) return 3;
        args[i] = is_array[i] ? static_cast<void*>(&values[i]) : values[i];
    }
    for (auto entry = minigan::entries; entry; entry = entry->next)
        if (!strcmp(entry->name, words[1])) {
            entry->launch(grid, block, shared, args);
            rewind(file);
            for (size_t i = 0; i < many; i++)
                if (is_array[i]) fwrite(values[i], 1, size[i], file);
            return fclose(file) ? 3 : 0;
        }
    return 3;
}

#endif

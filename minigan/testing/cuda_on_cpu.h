// CUDA C for g++: the names that our kernels use, and a processor that runs a grid block after block.
//
// A block's threads are fibers of one thread of the CPU: each runs until a barrier, then the next; after a
// barrier in the opposite order, so that what should have waited shows. With MINIGAN_THREADS (the sanitizers)
// each is a std::thread and each barrier a std::barrier. Shared memory is full of NaN when a block starts.
#pragma once
#define MINIGAN_HOST

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <type_traits>
#include <utility>
#include <vector>
#ifdef MINIGAN_THREADS
#include <barrier>
#include <memory>
#include <thread>
#include <stdio.h>
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

static unsigned char* dynamic_shared;
static uint64_t lanes[32][32];  // what each lane of each warp shows the others in a shuffle

static unsigned linear() { return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z); }

static uint3 thread_at(unsigned t) {
    return {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
}

#ifdef MINIGAN_THREADS

static std::barrier<>* of_block;
static std::unique_ptr<std::barrier<>> of_warp[32];

static void wait(Wait kind) { (kind == BLOCK ? of_block : of_warp[linear() / 32].get())->arrive_and_wait(); }

template <class Body> Status run_block(unsigned count, const Body& body) {
    std::barrier<> whole(count);
    of_block = &whole;
    for (unsigned w = 0; w * 32 < count; w++)
        of_warp[w] = std::make_unique<std::barrier<>>(count - w * 32 < 32 ? count - w * 32 : 32);
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < count; t++)
        threads.emplace_back([&body, t, block = blockIdx] {
            threadIdx = thread_at(t), blockIdx = block;
            body();
            of_warp[t / 32]->arrive_and_drop();
            of_block->arrive_and_drop();
        });
    for (auto& thread : threads) thread.join();
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
static std::vector<Fiber*> fibers;  // made when first needed, kept for the next launch
static std::vector<Fiber*> ready;   // those that a barrier lets go on, and which of them is next
static size_t next_ready;
static Fiber* current;
static jmp_buf scheduler;
static unsigned next_thread, thread_count, left;
static void (*run_body)(const void*);
static const void* body_itself;

static void jump_to(Fiber* fiber) {
    current = fiber, fiber->waits = NOTHING, threadIdx = fiber->index;
    _longjmp(fiber->at, 1);
}

// The other threads' fibers run in between.
__attribute__((noinline)) static void wait(Wait kind) {
    current->waits = kind;
    if (_setjmp(current->at)) return;
    if (next_ready < ready.size()) jump_to(ready[next_ready++]);
    _longjmp(scheduler, 1);
}

// A fiber takes one thread after another until one waits: without barriers it is a plain loop.
static void fiber_main() {
    for (;;) {
        while (next_thread < thread_count) {
            current->thread = next_thread++;
            threadIdx = current->index = thread_at(current->thread);
            run_body(body_itself);
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
    if (k == fibers.size()) {
        void* memory = mmap(nullptr, STACK, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        char* stack = static_cast<char*>(memory);
        mprotect(stack, PAGE, PROT_NONE);  // a stack that is too small ends in a fault, not in wrong numbers
        // Not all at one place in a page: the cache would hold only a few of them.
        auto made = reinterpret_cast<Fiber*>(stack + STACK - 512 - k % 8 * 384);
        made->stack = stack, made->waits = NOTHING, made->begun = false;
        fibers.push_back(made);
    }
    return fibers[k];
}

// Where threads of the block (of one warp, if it is given) all wait at this barrier: let them go on.
static bool release(size_t used, bool backwards, Wait kind, int warp) {
    ready.clear();
    for (size_t k = 0; k < used; k++) {
        Fiber* f = fibers[backwards ? used - 1 - k : k];
        if (f->waits == NOTHING || (kind == WARP && int(f->thread / 32) != warp)) continue;
        if (f->waits != kind) return ready.clear(), false;
        ready.push_back(f);
    }
    if (ready.empty()) return false;
    next_ready = 1;
    resume(ready[0]);  // which lets the second go on, and so forth
    return ready.clear(), true;
}

template <class Body> Status run_block(unsigned count, const Body& body) {
    run_body = [](const void* b) { (*static_cast<const Body*>(b))(); };
    body_itself = &body, next_thread = 0, thread_count = count, left = 0;
    size_t used = 0;
    while (next_thread < count) resume(fiber(used++));
    for (bool backwards = true; left < count; backwards = !backwards) {
        bool moved = false;
        for (unsigned w = 0; w * 32 < count; w++) moved |= release(used, backwards, WARP, w);
        if (moved) continue;
        if (left == 0) moved = release(used, backwards, BLOCK, 0);
        if (!moved) {  // those that wait will never go on: their fibers are given up
            fibers.clear();
            return DIVERGED;
        }
    }
    return RAN;
}

#endif

template <class Body>
Status run(const unsigned* grid, const unsigned* block, size_t shared, const Body& body) {
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
                status = run_block(block[0] * block[1] * block[2], body);
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
template <class T> char* spell(char* text) {
    if constexpr (std::is_pointer_v<T>) {
        using Element = std::remove_pointer_t<T>;
        *text++ = std::is_const_v<Element> ? 'r' : 'w';
        if constexpr (std::is_void_v<Element>)
            return *text++ = 'V', *text++ = '0', text;
        else
            return spell<std::remove_const_t<Element>>(text);
    } else {
        *text++ = std::is_same_v<T, bool>         ? 'b'
                  : std::is_floating_point_v<T>   ? 'f'
                  : !std::is_integral_v<T>        ? 'V'
                  : std::is_signed_v<T>           ? 'i'
                                                  : 'u';
        return number(text, sizeof(T));
    }
}

template <class... P> const char* signature(void (*)(P...)) {
    static char text[16 * (sizeof...(P) + 1)];
    char* end = text;
    ((end = spell<std::remove_cv_t<P>>(end), *end++ = ' '), ...);
    *end = 0;
    return text;
}

template <class... P, size_t... I>
int launch(void (*kernel)(P...), const unsigned* grid, const unsigned* block, size_t shared, void** args,
           std::index_sequence<I...>) {
    return run(grid, block, shared,
               [&] { kernel(*static_cast<std::remove_cv_t<P>*>(args[I])...); });
}

template <class... P>
int launch(void (*kernel)(P...), const unsigned* grid, const unsigned* block, size_t shared, void** args) {
    return launch(kernel, grid, block, shared, args, std::index_sequence_for<P...>());
}

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
template <class T, class F> T atomic(T* at, F change) {
    T old, now;
    __atomic_load(at, &old, __ATOMIC_RELAXED);
    do now = change(old);
    while (!__atomic_compare_exchange(at, &old, &now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return old;
}
}  // namespace minigan
template <class T> T atomicAdd(T* at, std::type_identity_t<T> x) {
    return minigan::atomic(at, [=](T old) { return T(old + x); });
}
template <class T> T atomicMax(T* at, std::type_identity_t<T> x) {
    return minigan::atomic(at, [=](T old) { return old < x ? x : old; });
}
template <class T> T atomicMin(T* at, std::type_identity_t<T> x) {
    return minigan::atomic(at, [=](T old) { return x < old ? x : old; });
}
template <class T> T atomicOr(T* at, std::type_identity_t<T> x) {
    return minigan::atomic(at, [=](T old) { return T(old | x); });
}
template <class T> T atomicAnd(T* at, std::type_identity_t<T> x) {
    return minigan::atomic(at, [=](T old) { return T(old & x); });
}
template <class T> T atomicExch(T* at, std::type_identity_t<T> x) {
    return minigan::atomic(at, [=](T) { return x; });
}
template <class T> T atomicCAS(T* at, std::type_identity_t<T> expected, std::type_identity_t<T> x) {
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
};
static std::vector<Entry>& entries() {
    static std::vector<Entry> all;
    return all;
}

template <class T> T read_one(FILE* file) {
    T value;
    if (fread(&value, sizeof value, 1, file) != 1) exit(3);
    return value;
}
}  // namespace minigan

#define MINIGAN_KERNEL(name)                                                                                 \
    static bool minigan_entry_##name = (minigan::entries().push_back({#name, minigan::signature(name),      \
        [](const unsigned* grid, const unsigned* block, size_t shared, void** args) {                        \
            return minigan::launch(name, grid, block, shared, args); }}), true);

// program: one line per kernel and its parameters.  program NAME FILE: one launch, described by the file and
// written back to it: grid, block, shared bytes, count; then for each argument a flag (array?), size, bytes.
int main(int count, char** words) {
    if (count == 1) {
        for (auto& entry : minigan::entries()) printf("%s %s\n", entry.name, entry.signature);
        return 0;
    }
    FILE* file = fopen(words[2], "r+b");
    if (!file) return 3;
    unsigned grid[3], block[3];
    for (auto& n : grid) n = minigan::read_one<uint32_t>(file);
    for (auto& n : block) n = minigan::read_one<uint32_t>(file);
    const size_t shared = minigan::read_one<uint64_t>(file), many = minigan::read_one<uint64_t>(file);
    std::vector<void*> values(many), args(many);  // each of its own size: AddressSanitizer knows its ends
    std::vector<uint64_t> is_array(many), size(many);
    for (size_t i = 0; i < many; i++) {
        is_array[i] = minigan::read_one<uint64_t>(file), size[i] = minigan::read_one<uint64_t>(file);
        values[i] = aligned_alloc(16, (size[i] + 15) / 16 * 16);
        if (is_array[i]) values[i] = (free(values[i]), malloc(size[i]));
        if (fread(values[i], 1, size[i], file) != size[i]) return 3;
        args[i] = is_array[i] ? static_cast<void*>(&values[i]) : values[i];
    }
    for (auto& entry : minigan::entries())
        if (!strcmp(entry.name, words[1])) {
            entry.launch(grid, block, shared, args.data());
            rewind(file);
            for (size_t i = 0; i < many; i++)
                if (is_array[i]) fwrite(values[i], 1, size[i], file);
            return fclose(file) ? 3 : 0;
        }
    return 3;
}

#endif

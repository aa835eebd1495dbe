/* The whole step of common.py in C by hand, with GCC vector types; sizes and constants are fixed when it is compiled
   (-DB=, a multiple of 32, -DH=, of 16). What a peer can reach: nothing here is general, or readable.
   Batch-major: a row of H floats is H/16 vectors. One micro-kernel serves all products:
       C[i][m] = sum_p A(i,p) * Bm[p][m],   A(i,p) = A[i*rs + p*cs].
   The batch goes through in blocks of NB samples, so that a block's activations stay in the cache. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#ifndef NT
#define NT 1
#endif
#ifndef NB
#define NB (B / NT < 64 ? B / NT : 64)
#endif
typedef float v16 __attribute__((vector_size(64)));
typedef int32_t i16 __attribute__((vector_size(64)));
typedef uint32_t u16 __attribute__((vector_size(64)));
#define HV (H / 16)
#define INL static inline __attribute__((always_inline))
INL v16 ld(const float *p) { v16 r; memcpy(&r, p, 64); return r; }
INL void st(float *p, v16 v) { memcpy(p, &v, 64); }
INL v16 bc(float x) { return x - (v16){}; }
INL v16 sel(i16 m, v16 a, v16 b) { return (v16)(((i16)a & m) | ((i16)b & ~m)); }
INL float hsum(v16 v) { float s = 0; for (int i = 0; i < 16; i++) s += v[i]; return s; }

/* tanh by an odd polynomial of order 13 over an even one of order 6, a few units in the last place. */
INL v16 vtanh(v16 x) {
  const v16 c = bc(7.90531110763549805f);
  x = sel(x > c, c, x);
  x = sel(x < -c, -c, x);
  v16 x2 = x * x;
  v16 p = x2 * -2.76076847742355e-16f + 2.00018790482477e-13f;
  p = p * x2 + -8.60467152213735e-11f;
  p = p * x2 + 5.12229709037114e-08f;
  p = p * x2 + 1.48572235717979e-05f;
  p = p * x2 + 6.37261928875436e-04f;
  p = p * x2 + 4.89352455891786e-03f;
  v16 q = x2 * 1.19825839466702e-06f + 1.18534705686654e-04f;
  q = q * x2 + 2.26843463243900e-03f;
  q = q * x2 + 4.89352518554385e-03f;
  return x * p / q;
}

/* logarithm of u in (0,1] and cos/sin of 2 pi t, for Box-Muller. */
INL v16 vlog(v16 u) {
  i16 b = (i16)u;
  i16 e = ((b - 0x3f3504f3) >> 23);
  v16 m = (v16)(b - (e << 23)) - 1.0f;
  v16 z = m * m;
  v16 p = m * 7.0376836292e-2f + -1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m + -1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m + -1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m + -2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  v16 f = __builtin_convertvector(e, v16);
  return m - z * 0.5f + m * z * p + f * 0.69314718056f;
}
INL v16 vsqrt(v16 x) { v16 r; for (int i = 0; i < 16; i++) r[i] = __builtin_sqrtf(x[i]); return r; }
static u16 rs[4];
INL u16 next(void) { /* xoshiro128+, 16 lanes */
  u16 r = rs[0] + rs[3], t = rs[1] << 9;
  rs[2] ^= rs[0]; rs[3] ^= rs[1]; rs[1] ^= rs[2]; rs[0] ^= rs[3]; rs[2] ^= t;
  rs[3] = (rs[3] << 11) | (rs[3] >> 21);
  return r;
}
static void normals(float *out, int n) { /* n a multiple of 32 */
  for (int i = 0; i < n; i += 32) {
    v16 u = (__builtin_convertvector((i16)(next() >> 8), v16) + 1.0f) * 0x1p-24f;
    v16 t = __builtin_convertvector((i16)next() >> 8, v16) * 0x1p-24f; /* [-.5,.5) turns */
    v16 r = vsqrt(vlog(u) * -2.0f);
    /* sin(2 pi t), cos(2 pi t): reduce to a quarter turn */
    v16 q4 = t * 4.0f;
    i16 k = __builtin_convertvector(q4 + sel(q4 < 0.0f, bc(-.5f), bc(.5f)), i16);
    v16 y = (q4 - __builtin_convertvector(k, v16)) * 1.57079632679f, y2 = y * y;
    v16 s = y + y * y2 * (y2 * (y2 * -1.9515295891e-4f + 8.3321608736e-3f) + -1.6666654611e-1f);
    v16 c = 1.0f - y2 * .5f + y2 * y2 * (y2 * (y2 * 2.443315711809948e-5f + -1.388731625493765e-3f) + 4.166664568298827e-2f);
    i16 odd = (k & 1) != 0;
    v16 ss = sel(odd, c, s), cc = sel(odd, s, c);
    ss = sel((k & 2) != 0, -ss, ss);
    cc = sel(((k + 1) & 2) != 0, -cc, cc);
    st(out + i, r * ss);
    st(out + i + 16, r * cc);
  }
}

/* C[i][m] (+)= bias[m] + sum_p A(i,p) Bm[p][m] for a tile of TI rows and TM vectors */
#define TILE(TI, TM)                                                                                          \
  INL void tile_##TI##_##TM(int P, const float *A, int rs_, int cs, const float *Bm, int ldb, const float *bias, \
                            float *C, int ldc, int add) {                                                     \
    v16 a[TI][TM];                                                                                            \
    for (int i = 0; i < TI; i++)                                                                              \
      for (int m = 0; m < TM; m++)                                                                            \
        a[i][m] = add ? ld(C + i * ldc + 16 * m) : bias ? ld(bias + 16 * m) : (v16){};                        \
    for (int p = 0; p < P; p++) {                                                                             \
      v16 b[TM];                                                                                              \
      for (int m = 0; m < TM; m++) b[m] = ld(Bm + p * ldb + 16 * m);                                          \
      for (int i = 0; i < TI; i++) {                                                                          \
        v16 x = bc(A[i * rs_ + p * cs]);                                                                      \
        for (int m = 0; m < TM; m++) a[i][m] += x * b[m];                                                     \
      }                                                                                                       \
    }                                                                                                         \
    for (int i = 0; i < TI; i++)                                                                              \
      for (int m = 0; m < TM; m++) st(C + i * ldc + 16 * m, a[i][m]);                                         \
  }
#if H == 16
#define TI 16
#define TM 1
TILE(16, 1)
#define tile tile_16_1
#else
#define TI 8
#define TM 2
TILE(8, 2)
#define tile tile_8_2
#endif
INL void gemm(int I, int P, const float *A, int rs_, int cs, const float *Bm, const float *bias, float *C, int add) {
  for (int m = 0; m < H; m += 16 * TM)
    for (int i = 0; i < I; i += TI)
      tile(P, A + i * rs_, rs_, cs, Bm + m, H, bias ? bias + m : 0, C + i * H + m, H, add);
}

typedef struct { float W1[H], b1[H], W2[H * H], b2[H], W3[H], b3[16]; } Par;
typedef struct { Par p, m, v; float W2T[H * H]; } Net;
static Net G __attribute__((aligned(64))), D __attribute__((aligned(64)));
static double t1, t2;
static float X[B] __attribute__((aligned(64))), ZD[B] __attribute__((aligned(64))), ZG[B] __attribute__((aligned(64)));

typedef struct { float h1[NB * H], h2[NB * H], d[NB * H], e[NB * H], y[NB], g[NB], f[NB]; Par gr; } Buf;
static Buf bufs[NT][2] __attribute__((aligned(64)));

static void transpose(Net *n) {
  for (int i = 0; i < H; i++) for (int j = 0; j < H; j++) n->W2T[j * H + i] = n->p.W2[i * H + j];
}
INL void forward(const Net *n, const float *x, Buf *f) {
  const Par *p = &n->p;
  for (int i = 0; i < NB; i++)
    for (int m = 0; m < H; m += 16)
      st(f->h1 + i * H + m, vtanh(x[i] * ld(p->W1 + m) + ld(p->b1 + m)));
  gemm(NB, H, f->h1, H, 1, p->W2, p->b2, f->h2, 0);
  for (int i = 0; i < NB; i++) {
    v16 s = {};
    for (int m = 0; m < H; m += 16) {
      v16 t = vtanh(ld(f->h2 + i * H + m));
      st(f->h2 + i * H + m, t);
      s += t * ld(p->W3 + m);
    }
    f->y[i] = hsum(s) + p->b3[0];
  }
}
/* g: dLoss/dy. want_w: add the weight gradients to gr; want_x: the input's gradient to dx. */
INL void backward(const Net *n, const float *x, Buf *f, const float *g, Par *gr, int want_w, float *dx) {
  const Par *p = &n->p;
  for (int i = 0; i < NB; i++)
    for (int m = 0; m < H; m += 16) {
      v16 h = ld(f->h2 + i * H + m);
      if (want_w) st(gr->W3 + m, ld(gr->W3 + m) + g[i] * h);
      v16 d = g[i] * ld(p->W3 + m) * (1.0f - h * h);
      st(f->d + i * H + m, d);
      if (want_w) st(gr->b2 + m, ld(gr->b2 + m) + d);
    }
  if (want_w) {
    for (int i = 0; i < NB; i++) gr->b3[0] += g[i];
    gemm(H, NB, f->h1, 1, H, f->d, 0, gr->W2, 1);
  }
  gemm(NB, H, f->d, H, 1, n->W2T, 0, f->e, 0);
  for (int i = 0; i < NB; i++) {
    v16 s = {};
    for (int m = 0; m < H; m += 16) {
      v16 h = ld(f->h1 + i * H + m);
      v16 d = ld(f->e + i * H + m) * (1.0f - h * h);
      if (want_w) {
        st(gr->b1 + m, ld(gr->b1 + m) + d);
        st(gr->W1 + m, ld(gr->W1 + m) + x[i] * d);
      }
      s += d * ld(p->W1 + m);
    }
    if (dx) dx[i] = hsum(s);
  }
}
static void logits(const float *y, float c, float *g) { /* 2 (sigmoid(y) - target) */
  for (int i = 0; i < NB; i += 16) st(g + i, vtanh(ld(y + i) * 0.5f) + c);
}
static void adam(Net *n, float A, float E) {
  float *p = (float *)&n->p, *m = (float *)&n->m, *v = (float *)&n->v, *g = (float *)&bufs[0][0].gr;
  for (int t = 1; t < NT; t++) {
    float *o = (float *)&bufs[t][0].gr;
    for (size_t i = 0; i < sizeof(Par) / 4; i += 16) st(g + i, ld(g + i) + ld(o + i));
  }
  for (size_t i = 0; i < sizeof(Par) / 4; i += 16) {
    v16 gi = ld(g + i), mi = ld(m + i) * B1_ + gi, vi = ld(v + i) * B2_ + gi * gi;
    st(m + i, mi);
    st(v + i, vi);
    st(p + i, ld(p + i) - A * mi / (vsqrt(vi) + E));
  }
  transpose(n);
}
static void d_block(int t, int o) {
  Buf *f = &bufs[t][1], *k = &bufs[t][0];
  forward(&D, X + o, k);
  logits(k->y, -1, k->g);
  backward(&D, X + o, k, k->g, &k->gr, 1, 0);
  forward(&G, ZD + o, f);
  memcpy(f->f, f->y, sizeof f->y);
  forward(&D, f->f, k);
  logits(k->y, 1, k->g);
  backward(&D, f->f, k, k->g, &k->gr, 1, 0);
}
static void g_block(int t, int o) {
  Buf *f = &bufs[t][1], *k = &bufs[t][0];
  forward(&G, ZG + o, f);
  forward(&D, f->y, k);
  logits(k->y, -1, k->g);
  backward(&D, f->y, k, k->g, 0, 0, k->f);
  backward(&G, ZG + o, f, k->f, &k->gr, 1, 0);
}
/* W1 b1 W2 b2 W3 b3, flat, of one net or of what it was moved by, times a factor. */
static void get(const Par *p, float *s, float k) {
  const float *from[6] = {p->W1, p->b1, p->W2, p->b2, p->W3, p->b3};
  const int size[6] = {H, H, H * H, H, H, 1};
  for (int a = 0; a < 6; a++)
    for (int i = 0; i < size[a]; i++) *s++ = k * from[a][i];
}
/* The gradient of one player: each thread adds up its share of the batch, block by block. */
static inline void over_batch(void (*block)(int, int)) {
#pragma omp parallel num_threads(NT)
  {
#ifdef _OPENMP
    int t = NT > 1 ? omp_get_thread_num() : 0;
#else
    int t = 0;
#endif
    memset(&bufs[t][0].gr, 0, sizeof(Par));
    for (int o = t * (B / NT); o < (t + 1) * (B / NT); o += NB) block(t, o);
  }
}
/* The two moves; gg and gd receive the gradients if they are asked for. */
static void play(float *gg, float *gd) {
  t1 *= B1_;
  t2 *= B2_;
  double c = sqrt((1 - t2) / (1 - B2_));
  float A = LR_ * (1 - B1_) / (1 - t1) * c, E = EPS_ * c * 2 * B;
  over_batch(d_block);
  adam(&D, A, E);
  if (gd) get(&bufs[0][0].gr, gd, .5f / B);
  over_batch(g_block);
  adam(&G, A, E);
  if (gg) get(&bufs[0][0].gr, gg, .5f / B);
}
static void step(void) {
#if B % 32
#error B must be a multiple of 32
#endif
  normals(X, B);
  for (int i = 0; i < B; i += 16) st(X + i, ld(X + i) * SD_ + MEAN_);
  normals(ZD, B);
  normals(ZG, B);
  play(0, 0);
}
static void put(Net *n, const float *s) { /* W1 b1 W2 b2 W3 b3, flat */
  memset(n, 0, sizeof *n);
  memcpy(n->p.W1, s, 4 * H); s += H;
  memcpy(n->p.b1, s, 4 * H); s += H;
  memcpy(n->p.W2, s, 4 * H * H); s += H * H;
  memcpy(n->p.b2, s, 4 * H); s += H;
  memcpy(n->p.W3, s, 4 * H); s += H;
  n->p.b3[0] = *s;
  transpose(n);
}
void init(const float *g, const float *d, uint64_t seed) {
  put(&G, g);
  put(&D, d);
  t1 = t2 = 1;
  for (int j = 0; j < 4; j++)
    for (int i = 0; i < 16; i++) {
      uint64_t z = (seed += 0x9e3779b97f4a7c15ull);
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
      rs[j][i] = (uint32_t)((z ^ (z >> 31)) >> 32);
    }
}
void run(long n) { while (n--) step(); }

void parameters(float *g, float *d) {
  get(&G.p, g, 1);
  get(&D.p, d, 1);
}
/* One step on these batches, and the gradients by which the players moved. */
void follow(const float *x, const float *zd, const float *zg, float *gg, float *gd) {
  memcpy(X, x, sizeof X);
  memcpy(ZD, zd, sizeof ZD);
  memcpy(ZG, zg, sizeof ZG);
  play(gg, gd);
}

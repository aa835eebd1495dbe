// What our CUDA sources share. For g++ cuda_on_cpu.h, which comes before, has said the same in its own words.
#ifndef MINIGAN_HOST

// One array of the shared memory that a launch asks for; all such names in a kernel are the same bytes.
#define DYNAMIC_SHARED(type, name) \
    extern __shared__ __align__(16) unsigned char minigan_shared_bytes[]; \
    type* name = reinterpret_cast<type*>(minigan_shared_bytes)

#endif

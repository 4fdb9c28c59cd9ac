// vector_clones.h: one loop, compiled for wider vectors too, chosen when the program starts.
//
// For loops whose result is the same bits at any vector width: element-wise, and compiled without
// contraction (-ffp-contract=off). Where the compiler or a sanitizer does not support it the
// attribute is nothing and the loop runs at the base width. Kernels of the engine do not use this;
// they live in kernels/ and are chosen by the user's ISA level.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define INTACT_VECTOR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define INTACT_VECTOR_CLONES
#endif

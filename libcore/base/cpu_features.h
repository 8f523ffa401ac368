// CPU_FEATURE_ACTIVE(NAME): what the processor can do, as the C library has found out at the start. The compiler's
// __builtin_cpu_supports would ask the processor again at every start, which takes a virtual machine 20 us or more.
#pragma once

#if defined(__x86_64__)
// The header is written for C: g++ knows the word all the same, clang does not.
#ifdef __clang__
#pragma push_macro("_Bool")
#define _Bool bool  // NOLINT(bugprone-reserved-identifier)
#endif
#include <sys/platform/x86.h>
#ifdef __clang__
#pragma pop_macro("_Bool")
#endif
#endif

/* What the kernels use of <math.h>, for cross builds without a C library's headers: compilers inline it. */
#pragma once
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")

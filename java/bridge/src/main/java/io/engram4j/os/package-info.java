/**
 * System calls of Linux behind {@code Host}: memory, files, NUMA, io_uring; and AMX tiles.
 *
 * <p>Links to the C library; uses nothing of this module but the core.
 *
 * <p>Knows no rows, kernels or models.
 */
@NullMarked
package io.engram4j.os;

import org.jspecify.annotations.NullMarked;

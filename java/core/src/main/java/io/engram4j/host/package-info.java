/**
 * What the operating system gives: memory, files, NUMA, limits, and files that check themselves.
 *
 * <p>Uses the JDK and {@code work}.
 *
 * <p>Knows no rows, kernels or models; system calls are in another module, behind {@code Host}.
 */
@NullMarked
package io.engram4j.host;

import org.jspecify.annotations.NullMarked;

/**
 * Work that several threads share. Uses the JDK alone; knows nothing of tables, kernels or models.
 */
@org.jspecify.annotations.NullMarked
package io.engram4j.work;

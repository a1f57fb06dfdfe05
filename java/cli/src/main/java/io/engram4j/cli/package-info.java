/**
 * The command {@code engram}: one file for each subcommand, and what {@code ci/soak}, {@code
 * ci/faults} and {@code ci/misuse} run.
 *
 * <p>Uses the core, {@code hf}, {@code tck} and picocli.
 *
 * <p>Has nothing that a library's user would need.
 */
@NullMarked
package io.engram4j.cli;

import org.jspecify.annotations.NullMarked;

/**
 * Model directories in Hugging Face's form: one file for each family that is known.
 *
 * <p>Uses the core and Jackson.
 *
 * <p>Runs nothing; what it reads it refuses unless it is whole.
 */
@NullMarked
package io.engram4j.hf;

import org.jspecify.annotations.NullMarked;

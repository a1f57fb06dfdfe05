/**
 * Text to token ids and back: what is asked of the Hugging Face tokenizers, and what of a
 * tokenizer.json they see.
 *
 * <p>Uses {@code io.engram4j.hf} for the vocabulary, and DJL's binding of the tokenizers.
 *
 * <p>Not here: the token map, which needs no tokenizer.
 */
@NullMarked
package io.engram4j.tokenizer;

import org.jspecify.annotations.NullMarked;

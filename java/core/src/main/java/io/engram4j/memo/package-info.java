/**
 * What n-grams contribute to key and value, remembered; counting and seeding it.
 *
 * <p>Uses {@code run}, {@code cache} and what those use.
 *
 * <p>Knows neither sequences nor files of a model.
 */
@NullMarked
package io.engram4j.memo;

import org.jspecify.annotations.NullMarked;

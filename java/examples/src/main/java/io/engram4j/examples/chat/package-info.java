/**
 * A chat by LangChain4j with a model of Jlama's that has Engram layers.
 *
 * <p>Uses what users have.
 *
 * <p>Nothing depends on it.
 */
@NullMarked
package io.engram4j.examples.chat;

import org.jspecify.annotations.NullMarked;

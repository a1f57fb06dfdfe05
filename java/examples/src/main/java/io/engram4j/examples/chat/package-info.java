/** A chat by LangChain4j with a model of Jlama's that has Engram layers. */
@NullMarked
package io.engram4j.examples.chat;

import org.jspecify.annotations.NullMarked;

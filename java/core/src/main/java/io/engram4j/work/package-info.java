/** Work that several threads share. Not for users. */
@org.jspecify.annotations.NullMarked
package io.engram4j.work;

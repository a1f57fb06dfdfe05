/**
 * One dependency for those who want no choice: models of every format, tokenizers, and the native
 * libraries of every platform, of which the one that fits is loaded.
 */
module io.engram4j.all {
  requires transitive io.engram4j.core;
  requires transitive io.engram4j.gguf;
  requires transitive io.engram4j.hf;
  requires transitive io.engram4j.tokenizer;
  requires io.engram4j.bridge;
  requires io.engram4j.natives.linux_x86_64;
  requires io.engram4j.natives.linux_aarch_64;
  requires io.engram4j.natives.windows_x86_64;
  requires io.engram4j.natives.windows_aarch_64;
  requires io.engram4j.natives.osx_aarch_64;
  requires io.engram4j.natives.osx_x86_64;
}

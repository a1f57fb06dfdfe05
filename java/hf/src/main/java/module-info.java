import org.jspecify.annotations.NullMarked;

/** Opens models: Hugging Face directories (config.json, tokenizer.json, safetensors) and GGUF. */
@NullMarked
module io.engram4j.hf {
  requires transitive io.engram4j.core;
  requires io.engram4j.gguf;
  requires com.fasterxml.jackson.core;
  requires com.fasterxml.jackson.databind;
  requires org.slf4j;
  requires static transitive org.jspecify;

  exports io.engram4j.hf;
}

import org.jspecify.annotations.NullMarked;

/** Opens Hugging Face model directories: config.json, tokenizer.json, safetensors. */
@NullMarked
module io.engram4j.hf {
  requires transitive io.engram4j.core;
  requires com.fasterxml.jackson.core;
  requires com.fasterxml.jackson.databind;
  requires org.slf4j;
  requires static transitive org.jspecify;

  exports io.engram4j.hf;
}

import org.jspecify.annotations.NullMarked;

/** Text to token ids and back, by a model's tokenizer.json. */
@NullMarked
module io.engram4j.tokenizer {
  requires io.engram4j.core;
  requires io.engram4j.hf;
  requires ai.djl.tokenizers;
  requires com.fasterxml.jackson.core;
  requires com.fasterxml.jackson.databind;
  requires static transitive org.jspecify;

  exports io.engram4j.tokenizer;
}

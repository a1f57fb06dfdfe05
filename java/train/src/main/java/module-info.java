import org.jspecify.annotations.NullMarked;

/**
 * Trains Engram tables, and small language models that have them: tables whose rows learn, the way
 * back through every stage, a decoder with its trainer, a tokenizer's training, and files that
 * inference opens.
 */
@NullMarked
module io.engram4j.train {
  requires transitive io.engram4j.core;
  requires io.engram4j.hf;
  requires com.fasterxml.jackson.databind;
  requires static jdk.incubator.vector; // java --add-modules jdk.incubator.vector
  requires static transitive org.jspecify;

  exports io.engram4j.train;
  exports io.engram4j.train.analysis;
  exports io.engram4j.train.corpus;
  exports io.engram4j.train.data;
  exports io.engram4j.train.files;
  exports io.engram4j.train.model;
  exports io.engram4j.train.ranks;
  exports io.engram4j.train.table;
}

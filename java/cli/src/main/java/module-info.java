import org.jspecify.annotations.NullMarked;

/** The {@code engram} command. */
@NullMarked
module io.engram4j.cli {
  requires com.fasterxml.jackson.core;
  requires com.fasterxml.jackson.databind;
  requires info.picocli;
  requires io.engram4j.core;
  requires io.engram4j.hf;
  requires io.engram4j.remote;
  requires io.engram4j.tokenizer;
  requires io.engram4j.shipped;
  requires io.engram4j.tck;
  requires io.engram4j.train;
  requires java.management;
  requires jdk.management;
  requires jtokkit;
  requires me.tongfei.progressbar;
  requires static transitive org.jspecify;

  opens io.engram4j.cli to
      info.picocli;
}

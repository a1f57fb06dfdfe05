import org.jspecify.annotations.NullMarked;

/** Benchmarks: every kernel beside its limit and its rivals, tables in use, JMH's per stage. */
@NullMarked
module io.engram4j.bench {
  requires io.engram4j.core;
  requires io.engram4j.remote;
  requires com.fasterxml.jackson.databind;
  requires com.github.benmanes.caffeine;
  requires info.picocli;
  requires jdk.management;
  requires jmh.core;
  requires jtokkit;
  requires static org.jspecify;

  exports io.engram4j.bench.guard;
  exports io.engram4j.bench.ratio;

  opens io.engram4j.bench.ratio to
      com.fasterxml.jackson.databind,
      info.picocli;

  uses io.engram4j.bench.ratio.Rival;
  uses io.engram4j.remote.RowEngine;
}

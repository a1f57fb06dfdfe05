import org.jspecify.annotations.NullMarked;

/** JMH benchmarks, one class per stage. */
@NullMarked
module io.engram4j.bench {
  requires io.engram4j.core;
  requires com.github.benmanes.caffeine;
  requires jmh.core;
  requires jtokkit;
  requires static org.jspecify;
}

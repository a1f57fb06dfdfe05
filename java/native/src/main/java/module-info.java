import org.jspecify.annotations.NullMarked;

/** The backends in C, {@code cpu} and {@code cuda}, through the Foreign Function and Memory API. */
@NullMarked
module io.engram4j.ffm {
  requires io.engram4j.bindings;
  requires transitive io.engram4j.core;
  requires java.management;
  requires jdk.jfr;
  requires jdk.management; // how much memory there is
  requires org.slf4j;
  requires static transitive org.jspecify;

  uses io.engram4j.ffm.NativeResource;

  exports io.engram4j.cuda;
  exports io.engram4j.ffm;

  provides io.engram4j.table.HostMemory with
      io.engram4j.ffm.LinuxHostMemory;
  provides io.engram4j.backend.BackendProvider with
      io.engram4j.ffm.CpuProvider,
      io.engram4j.cuda.CudaProvider;
}

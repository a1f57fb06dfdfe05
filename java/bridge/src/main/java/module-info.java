import org.jspecify.annotations.NullMarked;

/** The backends in C, {@code cpu} and {@code cuda}, through the Foreign Function and Memory API. */
@NullMarked
module io.engram4j.bridge {
  requires io.engram4j.bindings;
  requires transitive io.engram4j.core;
  requires java.management;
  requires jdk.jfr;
  requires jdk.management; // how much memory there is
  requires org.slf4j;
  requires static transitive org.jspecify;

  uses io.engram4j.bridge.NativeResource;

  exports io.engram4j.cuda;
  exports io.engram4j.bridge;

  provides io.engram4j.host.Host with
      io.engram4j.os.LinuxHost;
  provides io.engram4j.kernel.BackendProvider with
      io.engram4j.cpu.CpuProvider,
      io.engram4j.cuda.CudaProvider;
}

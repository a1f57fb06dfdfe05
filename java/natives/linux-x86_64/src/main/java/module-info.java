import org.jspecify.annotations.NullMarked;

/** The native library for Linux on x86-64. */
@NullMarked
module io.engram4j.natives.linux_x86_64 {
  requires io.engram4j.bridge;
  requires static org.jspecify;

  provides io.engram4j.bridge.NativeResource with
      io.engram4j.natives.linux_x86_64.LinuxX64;
}

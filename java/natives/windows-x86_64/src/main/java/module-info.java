import org.jspecify.annotations.NullMarked;

/** The native library for Windows on x86-64. */
@NullMarked
module io.engram4j.natives.windows_x86_64 {
  requires io.engram4j.ffm;
  requires static org.jspecify;

  provides io.engram4j.ffm.NativeResource with
      io.engram4j.natives.windows_x86_64.WindowsX64;
}

import org.jspecify.annotations.NullMarked;

/** The native library for Windows on AArch64. */
@NullMarked
module io.engram4j.natives.windows_aarch_64 {
  requires io.engram4j.bridge;
  requires static org.jspecify;

  provides io.engram4j.bridge.NativeResource with
      io.engram4j.natives.windows_aarch_64.WindowsArm64;
}

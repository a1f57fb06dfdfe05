import org.jspecify.annotations.NullMarked;

/** The native library for Linux on AArch64. */
@NullMarked
module io.engram4j.natives.linux_aarch_64 {
  requires io.engram4j.bridge;
  requires static org.jspecify;

  provides io.engram4j.bridge.NativeResource with
      io.engram4j.natives.linux_aarch_64.LinuxArm64;
}

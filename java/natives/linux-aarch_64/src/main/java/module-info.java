import org.jspecify.annotations.NullMarked;

/** The native library for Linux on AArch64. */
@NullMarked
module io.engram4j.natives.linux_aarch_64 {
  requires io.engram4j.ffm;
  requires static org.jspecify;

  provides io.engram4j.ffm.NativeResource with
      io.engram4j.natives.linux_aarch_64.LinuxArm64;
}

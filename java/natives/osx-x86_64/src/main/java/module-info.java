import org.jspecify.annotations.NullMarked;

/** The native library for macOS on Intel. */
@NullMarked
module io.engram4j.natives.osx_x86_64 {
  requires io.engram4j.bridge;
  requires static org.jspecify;

  provides io.engram4j.bridge.NativeResource with
      io.engram4j.natives.osx_x86_64.MacX64;
}

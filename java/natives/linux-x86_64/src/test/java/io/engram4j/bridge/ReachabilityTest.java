package io.engram4j.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.engram4j.bindings.Engram;
import io.engram4j.bindings.cuda.EngramCuda;
import io.engram4j.cpu.CpuProvider;
import io.engram4j.cuda.Shim;
import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodType;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/**
 * The file that tells GraalVM's native-image of every call into C is made of the calls themselves:
 * after a change, this test writes it anew under target and says where it belongs.
 */
class ReachabilityTest {
  private static final Path COMMITTED =
      Path.of(
          "../../bridge/src/main/resources/META-INF/native-image/io.engram4j/engram4j-bridge"
              + "/reachability-metadata.json");

  /** Calls of libc's that leave no errno, and where the variadic arguments of others begin. */
  private static final Set<String> PLAIN = Set.of("MADVISE", "CPU");

  private static final Map<String, Integer> VARIADIC = Map.of("OPEN", 2, "SYSCALL", 1);

  private static String type(Class<?> carrier) {
    if (carrier == MemorySegment.class) {
      return "void*";
    }
    return carrier == long.class ? "long long" : carrier.toString(); // int, float, double, void
  }

  private static String call(MethodType type, String options) {
    List<String> parameters =
        type.parameterList().stream().map(each -> '"' + type(each) + '"').toList();
    return "      {\"returnType\": \""
        + type(type.returnType())
        + "\", \"parameterTypes\": ["
        + String.join(", ", parameters)
        + "]"
        + (options.isEmpty() ? "" : ", \"options\": {" + options + "}")
        + "}";
  }

  private static List<Method> functions() {
    List<Method> functions = new ArrayList<>(List.of(Engram.class.getMethods()));
    functions.addAll(List.of(EngramCuda.class.getMethods()));
    return functions;
  }

  private static Set<String> kernels() throws ReflectiveOperationException {
    Set<String> calls = new TreeSet<>();
    for (Method method : functions()) {
      if (method.getName().endsWith("$descriptor")) {
        FunctionDescriptor descriptor = (FunctionDescriptor) method.invoke(null);
        calls.add(call(descriptor.toMethodType(), ""));
      }
    }
    for (Field field : Class.forName("io.engram4j.cpu.CpuCalls").getDeclaredFields()) {
      if (field.getType() == MethodHandle.class) {
        field.setAccessible(true);
        MethodHandle handle = (MethodHandle) field.get(null);
        boolean critical = field.getName().endsWith("_HEAP");
        calls.add(call(handle.type(), critical ? "\"critical\": {\"allowHeapAccess\": true}" : ""));
      }
    }
    return calls;
  }

  private static Set<String> libc() throws ReflectiveOperationException {
    Set<String> calls = new TreeSet<>();
    calls.add(call(MethodType.methodType(int.class), "")); // getpagesize
    for (Field field : Class.forName("io.engram4j.os.Libc").getDeclaredFields()) {
      if (field.getType() == MethodHandle.class) {
        field.setAccessible(true);
        MethodType type = ((MethodHandle) field.get(null)).type();
        List<String> options = new ArrayList<>();
        if (!PLAIN.contains(field.getName())) {
          type = type.dropParameterTypes(0, 1); // where errno is left
          options.add("\"captureCallState\": true");
        }
        if (VARIADIC.containsKey(field.getName())) {
          options.add("\"firstVariadicArg\": " + VARIADIC.get(field.getName()));
        }
        calls.add(call(type, String.join(", ", options)));
      }
    }
    return calls;
  }

  @Test
  void theCommittedFileHasEveryCall() throws ReflectiveOperationException, IOException {
    Shim.use(); // so that the functions are found
    assertEquals(Optional.empty(), new CpuProvider().unavailable());
    Set<String> calls = kernels();
    calls.addAll(libc());
    String made =
        "{\n  \"resources\": [{\"glob\": \"io.engram4j.natives/**\"}],\n  \"foreign\": {\n"
            + "    \"downcalls\": [\n"
            + String.join(",\n", calls)
            + "\n    ]\n  }\n}\n";
    Path written = Files.writeString(Path.of("target", "reachability-metadata.json"), made);
    String committed = Files.exists(COMMITTED) ? Files.readString(COMMITTED) : "";
    assertEquals(made, committed, "copy " + written + " to " + COMMITTED);
  }
}

package io.engram4j.tck;

import java.io.IOException;
import java.io.InputStream;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassHierarchyResolver;
import java.lang.classfile.ClassTransform;
import java.lang.classfile.CodeBuilder;
import java.lang.classfile.CodeElement;
import java.lang.classfile.Opcode;
import java.lang.classfile.instruction.InvokeInstruction;
import java.lang.classfile.instruction.NewMultiArrayInstruction;
import java.lang.classfile.instruction.NewObjectInstruction;
import java.lang.classfile.instruction.NewPrimitiveArrayInstruction;
import java.lang.classfile.instruction.NewReferenceArrayInstruction;
import java.lang.constant.ClassDesc;
import java.lang.constant.ConstantDescs;
import java.lang.constant.MethodTypeDesc;
import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/**
 * Loads the library anew, with a call of {@link Faults} before everything that can fail for reasons
 * outside it: each allocation, on the heap and off it, each call of the JDK that may throw an
 * IOException but {@code close}, each task for an executor, each start of a thread. The classes of
 * this package are loaded as they are.
 */
final class FaultLoader extends ClassLoader {
  private static final String OWN = "io.engram4j.";
  private static final String TESTS = "io.engram4j.tck.";
  private static final ClassDesc FAULTS = ClassDesc.of(Faults.class.getName());
  private static final ClassDesc ARENA = ClassDesc.of("java.lang.foreign.Arena");
  private static final MethodTypeDesc PASS =
      MethodTypeDesc.of(ConstantDescs.CD_void, ConstantDescs.CD_String);

  /** Where off-heap memory comes from. */
  private static final Set<String> ALLOCATORS =
      Set.of(
          "java/lang/foreign/Arena",
          "java/lang/foreign/SegmentAllocator",
          "java/lang/foreign/MemorySegment",
          "java/nio/ByteBuffer");

  private static final Set<String> ALLOCATIONS =
      Set.of("allocate", "allocateFrom", "allocateDirect", "ofShared", "ofConfined", "ofAuto");

  private final ClassLoader parent;
  private final ClassFile classFile;
  private int places; // by the class that is loaded first
  private final Map<String, Boolean> throwing = new ConcurrentHashMap<>();

  FaultLoader(ClassLoader parent) {
    super("faults", parent);
    this.parent = parent;
    this.classFile =
        ClassFile.of(
            ClassFile.ClassHierarchyResolverOption.of(
                ClassHierarchyResolver.ofResourceParsing(parent)));
  }

  @Override
  protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
    synchronized (getClassLoadingLock(name)) {
      boolean shared = name.startsWith(Faults.class.getName()) || !name.startsWith(OWN);
      if (shared) {
        return super.loadClass(name, resolve);
      }
      Class<?> known = findLoadedClass(name);
      return known != null ? known : define(name);
    }
  }

  private Class<?> define(String name) throws ClassNotFoundException {
    try (InputStream in = parent.getResourceAsStream(name.replace('.', '/') + ".class")) {
      if (in == null) {
        throw new ClassNotFoundException(name);
      }
      byte[] bytes = in.readAllBytes();
      if (!name.startsWith(TESTS)) {
        bytes =
            classFile.transformClass(
                classFile.parse(bytes),
                ClassTransform.transformingMethodBodies(
                    (builder, element) -> instrument(name, builder, element)));
      }
      return defineClass(name, bytes, 0, bytes.length);
    } catch (IOException e) {
      throw new ClassNotFoundException(name, e);
    }
  }

  private void instrument(String name, CodeBuilder builder, CodeElement element) {
    switch (element) {
      case NewPrimitiveArrayInstruction made -> pass(builder, "memory", name, "new array");
      case NewReferenceArrayInstruction made -> pass(builder, "memory", name, "new array");
      case NewMultiArrayInstruction made -> pass(builder, "memory", name, "new array");
      case NewObjectInstruction made -> {
        String type = made.className().asInternalName();
        if (!type.endsWith("Exception") && !type.endsWith("Error")) {
          pass(builder, "memory", name, "new " + type);
        }
      }
      case InvokeInstruction call -> {
        String owner = call.owner().asInternalName();
        String what = owner + "." + call.name().stringValue();
        if (isArena(call, owner)) {
          MethodTypeDesc type = MethodTypeDesc.of(ARENA, ConstantDescs.CD_String);
          builder
              .loadConstant(site(name, what))
              .invokestatic(FAULTS, call.name().stringValue(), type);
          return;
        }
        String kind = kind(call, owner);
        if (kind != null) {
          pass(builder, kind, name, what);
        }
      }
      default -> {}
    }
    builder.with(element);
  }

  private void pass(CodeBuilder builder, String kind, String name, String what) {
    builder.loadConstant(site(name, what)).invokestatic(FAULTS, kind, PASS);
  }

  /** Every place has a name of its own. */
  private String site(String name, String what) {
    return name.substring(OWN.length()) + ", " + what + ", place " + places++;
  }

  private static boolean isArena(InvokeInstruction call, String owner) {
    return call.opcode() == Opcode.INVOKESTATIC
        && owner.equals("java/lang/foreign/Arena")
        && Set.of("ofShared", "ofConfined").contains(call.name().stringValue());
  }

  private @Nullable String kind(InvokeInstruction call, String owner) {
    String method = call.name().stringValue();
    boolean inMemory =
        owner.startsWith("java/io/ByteArray")
            || owner.startsWith("java/io/String")
            || owner.startsWith("java/lang/String");
    if (!owner.startsWith("java/")
        || inMemory
        || method.equals("close")
        || method.equals("<init>")) {
      return null;
    }
    if (ALLOCATORS.contains(owner) && ALLOCATIONS.contains(method)) {
      return "memory";
    }
    if (owner.equals("java/lang/Thread") && method.equals("start")) {
      return "memory";
    }
    Class<?> type;
    try {
      type = Class.forName(owner.replace('/', '.'), false, parent);
    } catch (ClassNotFoundException e) {
      return null;
    }
    if (Executor.class.isAssignableFrom(type)
        && Set.of("execute", "submit", "invokeAll", "invokeAny").contains(method)) {
      return "executor";
    }
    return throwing.computeIfAbsent(owner + "." + method, key -> throwsIo(type, method))
        ? "file"
        : null;
  }

  private static boolean throwsIo(Class<?> type, String name) {
    for (Method method : type.getMethods()) {
      if (method.getName().equals(name)
          && Arrays.asList(method.getExceptionTypes()).contains(IOException.class)) {
        return true;
      }
    }
    return false;
  }
}

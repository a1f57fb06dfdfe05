package io.engram4j.architecture;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/** The main classes of every module, read from the build folders. */
final class Modules {
  private static final Path ROOT = Path.of("..", "..").toAbsolutePath().normalize();

  /** Modules with main code, by name; a folder of natives is one of another platform if empty. */
  static final Map<String, Path> ALL = modules();

  static final JavaClasses CLASSES =
      new ClassFileImporter().importPaths(ALL.values().stream().map(Modules::classes).toList());

  private Modules() {}

  private static Path classes(Path module) {
    return module.resolve("target/classes");
  }

  private static Map<String, Path> modules() {
    Map<String, Path> modules = new TreeMap<>();
    modules.put("bindings", ROOT.resolve("bindings"));
    for (String folder : List.of("java", "java/natives")) {
      try (Stream<Path> below = Files.list(ROOT.resolve(folder))) {
        below
            .filter(module -> Files.isDirectory(module.resolve("src/main/java")))
            .filter(Modules::isBuilt)
            .forEach(module -> modules.put(name(module), module));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
    return modules;
  }

  /** Natives of other platforms, and the rivals, are built only where they are asked for. */
  private static boolean isBuilt(Path module) {
    boolean optional = module.endsWith("rivals") || module.getParent().endsWith("natives");
    return !optional || Files.isDirectory(classes(module).resolve("io"));
  }

  private static String name(Path module) {
    return module.getParent().endsWith("natives")
        ? "natives"
        : String.valueOf(module.getFileName());
  }

  /** Returns the module whose build folder a class is from. */
  static String of(JavaClass type) {
    String file = Path.of(type.getSource().orElseThrow().getUri()).toString();
    for (Map.Entry<String, Path> module : ALL.entrySet()) {
      if (file.startsWith(classes(module.getValue()) + "/")) {
        return module.getKey();
      }
      if (module.getKey().equals("natives") && file.contains("/java/natives/")) {
        return "natives";
      }
    }
    throw new IllegalStateException(file + " is of no module");
  }
}

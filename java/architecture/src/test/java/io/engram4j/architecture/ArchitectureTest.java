package io.engram4j.architecture;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static io.engram4j.architecture.Modules.CLASSES;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.Dependency;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.library.dependencies.SliceAssignment;
import com.tngtech.archunit.library.dependencies.SliceIdentifier;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.Linker;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** What the code of every module keeps to. */
class ArchitectureTest {
  /** Which modules of the project a module may use; natives are found by a service. */
  private static final Map<String, Set<String>> MODULES =
      Map.ofEntries(
          Map.entry("all", Set.of()), // no classes: it names what others have
          Map.entry("bindings", Set.of()),
          Map.entry("core", Set.of()),
          Map.entry("gguf", Set.of()),
          Map.entry("hf", Set.of("core", "gguf")),
          Map.entry("tokenizer", Set.of("core", "hf")),
          Map.entry("tck", Set.of("core", "hf")),
          Map.entry("bridge", Set.of("core", "bindings")),
          Map.entry("natives", Set.of("bridge")),
          Map.entry("vector", Set.of("core")),
          Map.entry("cli", Set.of("core", "hf", "remote", "tokenizer", "tck", "train", "shipped")),
          Map.entry("bench", Set.of("core", "hf", "remote", "tck")),
          Map.entry("rivals", Set.of("core", "bench", "train", "mpi")),
          Map.entry("spark", Set.of("core", "hf")),
          Map.entry("micrometer", Set.of("core")),
          Map.entry("train", Set.of("core", "hf")),
          Map.entry("shipped", Set.of()),
          Map.entry("remote", Set.of("core", "hf")),
          Map.entry("valkey", Set.of("remote")),
          Map.entry("ucx", Set.of("core", "remote")),
          Map.entry("mpi", Set.of("core", "train")),
          Map.entry("jlama", Set.of("core", "hf")),
          Map.entry("djl", Set.of("core", "train")),
          Map.entry(
              "examples",
              Set.of("core", "hf", "tokenizer", "tck", "micrometer", "jlama", "djl", "mpi")));

  /** Which packages of the core a package may use; each is named in its package-info. */
  private static final Map<String, Set<String>> CORE =
      Map.ofEntries(
          Map.entry("format", Set.of()),
          Map.entry("work", Set.of()),
          Map.entry("cache", Set.of()),
          Map.entry("host", Set.of("work")),
          Map.entry("model", Set.of("format", "host")),
          Map.entry("table", Set.of("format", "host", "model")),
          Map.entry("weights", Set.of("model", "table")),
          Map.entry("table.io", Set.of("cache", "format", "host", "model", "table", "work")),
          Map.entry("kernel", Set.of("model", "table", "weights")),
          Map.entry("kernel.java", Set.of("format", "kernel", "model", "table", "weights")),
          Map.entry("run", Set.of("host", "kernel", "model", "table", "weights", "work")),
          Map.entry(
              "memo",
              Set.of("cache", "host", "kernel", "model", "run", "table", "weights", "work")),
          Map.entry(
              "",
              Set.of("host", "kernel", "kernel.java", "memo", "model", "run", "table", "weights")));

  private static JavaClasses of(String module) {
    return CLASSES.that(
        DescribedPredicate.describe("of " + module, type -> Modules.of(type).equals(module)));
  }

  /** The package below io.engram4j. */
  private static String room(JavaClass type) {
    String name = type.getPackageName();
    return name.equals("io.engram4j") ? "" : name.substring("io.engram4j.".length());
  }

  private static SliceAssignment by(String what, Function<JavaClass, String> slice) {
    return new SliceAssignment() {
      @Override
      public SliceIdentifier getIdentifierOf(JavaClass type) {
        return type.getPackageName().startsWith("io.engram4j")
            ? SliceIdentifier.of(slice.apply(type))
            : SliceIdentifier.ignore();
      }

      @Override
      public String getDescription() {
        return what;
      }
    };
  }

  private static String outermost(JavaClass type) {
    return type.getName().replaceFirst("\\$.*", "");
  }

  @Test
  void everyModuleIsSeen() {
    for (String module : MODULES.keySet()) {
      if (Modules.ALL.containsKey(module)) {
        assertEquals(module.equals("all"), of(module).isEmpty(), "classes of " + module);
      } else {
        assertTrue(Set.of("all", "natives", "rivals").contains(module), module + " is not built");
      }
    }
    assertTrue(MODULES.keySet().containsAll(Modules.ALL.keySet()), "" + Modules.ALL.keySet());
  }

  @Test
  void modulesDependInOneDirection() {
    Set<String> wrong = new TreeSet<>();
    for (JavaClass type : CLASSES) {
      String from = Modules.of(type);
      for (Dependency dependency : type.getDirectDependenciesFromSelf()) {
        JavaClass target = dependency.getTargetClass().getBaseComponentType();
        if (target.getPackageName().startsWith("io.engram4j")
            && CLASSES.contain(target.getName())) {
          String to = Modules.of(CLASSES.get(target.getName()));
          if (!to.equals(from) && !MODULES.getOrDefault(from, Set.of()).contains(to)) {
            wrong.add(from + " uses " + to + ": " + dependency.getDescription());
          }
        }
      }
    }
    assertEquals(Set.of(), wrong);
  }

  @Test
  void packagesHaveNoCycles() {
    slices()
        .assignedFrom(by("packages", JavaClass::getPackageName))
        .should()
        .beFreeOfCycles()
        .check(CLASSES);
  }

  @Test
  void classesOfTheCoreHaveNoCycles() {
    slices()
        .assignedFrom(by("classes", ArchitectureTest::outermost))
        .should()
        .beFreeOfCycles()
        .check(of("core"));
  }

  @Test
  void packagesOfTheCoreDependInOneDirection() {
    Set<String> wrong = new TreeSet<>();
    JavaClasses core = of("core");
    for (JavaClass type : core) {
      Set<String> allowed = CORE.get(room(type));
      assertTrue(allowed != null, "package " + type.getPackageName() + " has no line here");
      for (Dependency dependency : type.getDirectDependenciesFromSelf()) {
        JavaClass target = dependency.getTargetClass().getBaseComponentType();
        if (core.contain(target.getName())
            && !room(target).equals(room(type))
            && !allowed.contains(room(target))) {
          wrong.add(dependency.getDescription());
        }
      }
    }
    assertEquals(Set.of(), wrong);
  }

  @Test
  void coreDependsOnTheJdkAndSlf4jAlone() {
    classes()
        .should()
        .onlyDependOnClassesThat()
        .resideInAnyPackage(
            "java..",
            "jdk.jfr..",
            "com.sun.management..", // the JDK's own: how much memory is free
            "com.sun.nio.file..", // reads past the page cache
            "org.slf4j..",
            "org.jspecify..",
            "io.engram4j..")
        .check(of("core"));
  }

  @Test
  void theBackendsOfTheBridgeStandApart() {
    noClasses()
        .that()
        .resideInAnyPackage("io.engram4j.bridge..", "io.engram4j.cpu..", "io.engram4j.os..")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("io.engram4j.cuda..")
        .check(CLASSES);
    noClasses()
        .that()
        .resideInAnyPackage("io.engram4j.cuda..", "io.engram4j.os..", "io.engram4j.bridge..")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("io.engram4j.cpu..")
        .check(CLASSES);
  }

  @Test
  void onlyTheBridgeLinks() {
    noClasses()
        .that()
        .resideOutsideOfPackages(
            "io.engram4j.bindings..",
            "io.engram4j.cpu..",
            "io.engram4j.os..",
            "io.engram4j.mpi..", // a library that the launcher chose
            "io.engram4j.ucx..", // or that the machine has
            "io.engram4j.bench.ratio..") // its loops in C, which measure the machine's limits
        .should()
        .dependOnClassesThat()
        .areAssignableTo(Linker.class)
        .check(CLASSES);
  }

  @Test
  void onlyTheBridgeSeesBindings() {
    noClasses()
        .that()
        .resideOutsideOfPackages(
            "io.engram4j.bindings..",
            "io.engram4j.bridge..",
            "io.engram4j.cpu..",
            "io.engram4j.cuda..")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("io.engram4j.bindings..")
        .check(CLASSES);
  }

  /** What holds memory is closed by its owner; nothing waits for the garbage collector. */
  @Test
  void noMemoryWaitsForTheGarbageCollector() {
    noClasses()
        .that()
        .resideOutsideOfPackage("io.engram4j.bindings..") // which jextract makes
        .should()
        .callMethod(Arena.class, "ofAuto")
        .check(CLASSES);
  }

  @Test
  void librariesLogThroughSlf4j() {
    noClasses()
        .that()
        .resideOutsideOfPackages(
            "io.engram4j.cli..",
            "io.engram4j.bench..",
            "io.engram4j.rivals..",
            "io.engram4j.examples..",
            "io.engram4j.bindings..")
        .should()
        .accessField(System.class, "out")
        .orShould()
        .accessField(System.class, "err")
        .orShould()
        .callMethod(Throwable.class, "printStackTrace")
        .check(CLASSES);
  }

  /** Few types, so that users and authors of backends find theirs: raise these with a reason. */
  @Test
  void exportedTypesAreFew() {
    assertEquals(34, exported(Set.of("", "model", "table")), "types for users");
    assertEquals(13, exported(Set.of("kernel", "weights", "format")), "types for a backend");
  }

  private static long exported(Set<String> rooms) {
    return of("core").stream()
        .filter(type -> rooms.contains(room(type)))
        .filter(type -> type.isTopLevelClass() && !type.getSimpleName().equals("package-info"))
        .filter(type ->
            type.getModifiers().contains(com.tngtech.archunit.core.domain.JavaModifier.PUBLIC))
        .count();
  }

  @Test
  void everyPackageSaysWhatItOwns() throws IOException {
    for (Map.Entry<String, Path> module : Modules.ALL.entrySet()) {
      if (module.getKey().equals("bindings")) {
        continue; // which jextract makes
      }
      try (Stream<Path> files = Files.walk(module.getValue().resolve("src/main/java"))) {
        List<Path> folders =
            files
                .filter(file -> file.toString().endsWith(".java"))
                .filter(file -> !file.endsWith("module-info.java"))
                .map(Path::getParent)
                .distinct()
                .toList();
        for (Path folder : folders) {
          Path info = folder.resolve("package-info.java");
          assertTrue(Files.exists(info), folder + " has no package-info.java");
          String text = Files.readString(info);
          assertEquals(3, text.split("<p>").length, info + ": owns, uses, not");
          assertTrue(text.contains("\n@NullMarked\npackage "), info + ": Kotlin sees no module's");
        }
      }
    }
  }
}

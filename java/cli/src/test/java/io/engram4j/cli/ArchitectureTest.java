package io.engram4j.cli;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import org.junit.jupiter.api.Test;

/** Holds the direction of dependencies: inwards only. */
class ArchitectureTest {
  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
          .importPackages("io.engram4j");

  @Test
  void modulesDependInwards() {
    assertTrue(CLASSES.size() > 50, "classes found: " + CLASSES.size());
    layeredArchitecture()
        .consideringOnlyDependenciesInLayers()
        .withOptionalLayers(true) // there are no natives with -Dnative.skip
        .layer("core")
        .definedBy(
            "io.engram4j",
            "io.engram4j.format..",
            "io.engram4j.host..",
            "io.engram4j.kernel..",
            "io.engram4j.memo..",
            "io.engram4j.model..",
            "io.engram4j.run..",
            "io.engram4j.table..",
            "io.engram4j.weights..",
            "io.engram4j.work..")
        .layer("hf")
        .definedBy("io.engram4j.hf..")
        .layer("bindings")
        .definedBy("io.engram4j.bindings..")
        .layer("native")
        .definedBy(
            "io.engram4j.bridge..", "io.engram4j.cpu..", "io.engram4j.cuda..", "io.engram4j.os..")
        .layer("natives")
        .definedBy("io.engram4j.natives..")
        .layer("tck")
        .definedBy("io.engram4j.tck..")
        .layer("cli")
        .definedBy("io.engram4j.cli..")
        .whereLayer("cli")
        .mayNotBeAccessedByAnyLayer()
        .whereLayer("natives")
        .mayNotBeAccessedByAnyLayer()
        .whereLayer("native")
        .mayOnlyBeAccessedByLayers("natives")
        .whereLayer("bindings")
        .mayOnlyBeAccessedByLayers("native")
        .whereLayer("tck")
        .mayOnlyBeAccessedByLayers("cli")
        .whereLayer("hf")
        .mayOnlyBeAccessedByLayers("tck", "cli")
        .whereLayer("core")
        .mayOnlyBeAccessedByLayers("hf", "tck", "native", "cli")
        .check(CLASSES);
  }

  @Test
  void stagesHaveNoCycles() {
    slices().matching("io.engram4j.(*)..").should().beFreeOfCycles().check(CLASSES);
    noClasses()
        .that()
        .resideInAnyPackage(
            "io.engram4j.format..",
            "io.engram4j.host..",
            "io.engram4j.kernel..",
            "io.engram4j.memo..",
            "io.engram4j.model..",
            "io.engram4j.run..",
            "io.engram4j.table..",
            "io.engram4j.weights..",
            "io.engram4j.work..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("io.engram4j")
        .check(CLASSES);
  }

  @Test
  void coreDependsOnTheJdkAndSlf4jAlone() {
    classes()
        .that()
        .resideOutsideOfPackages(
            "io.engram4j.bindings..",
            "io.engram4j.cli..",
            "io.engram4j.cuda..",
            "io.engram4j.bridge..",
            "io.engram4j.cpu..",
            "io.engram4j.os..",
            "io.engram4j.hf..",
            "io.engram4j.natives..",
            "io.engram4j.tck..")
        .should()
        .onlyDependOnClassesThat()
        .resideInAnyPackage(
            "java..",
            "jdk.jfr..",
            "com.sun.management..", // the JDK's own: how much memory is free
            "org.slf4j..",
            "org.jspecify..",
            "io.engram4j..")
        .check(CLASSES);
  }

  @Test
  void stagesOnADeviceUseTheBridgeAndNotTheCpuBackend() {
    noClasses()
        .that()
        .resideInAnyPackage("io.engram4j.bridge..", "io.engram4j.cpu..")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("io.engram4j.cuda..")
        .check(CLASSES);
    noClasses()
        .that()
        .resideInAPackage("io.engram4j.cuda..")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("io.engram4j.cpu..")
        .check(CLASSES);
  }

  @Test
  void onlyTheNativeBridgeMayLink() {
    noClasses()
        .that()
        .resideOutsideOfPackages("io.engram4j.bindings..", "io.engram4j.cpu..", "io.engram4j.os..")
        .should()
        .dependOnClassesThat()
        .haveFullyQualifiedName("java.lang.foreign.Linker")
        .check(CLASSES);
  }

  @Test
  void librariesLogThroughSlf4j() {
    noClasses()
        .that()
        .resideOutsideOfPackages("io.engram4j.cli..", "io.engram4j.bindings..")
        .should()
        .accessField(System.class, "out")
        .orShould()
        .accessField(System.class, "err")
        .orShould()
        .callMethod(Throwable.class, "printStackTrace")
        .check(CLASSES);
  }
}

package io.engram4j.cli;

import com.sun.management.OperatingSystemMXBean;
import io.engram4j.Backends;
import io.engram4j.kernel.BackendProvider;
import io.engram4j.remote.SlicedTables;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** Shows what the machine offers and which backends can run, with reasons. */
@Command(
    name = "doctor",
    header = "Show machine, JDK, memory limits, and which backends can run, or why not.",
    description =
        "With a model directory also its tables, and how much of them is in memory; with --remote"
            + " those of other machines, and how long rows of them take.")
final class DoctorCommand implements Callable<Integer> {
  @Mixin RemoteOption remote = new RemoteOption();
  @Mixin Output output = new Output();

  @Parameters(
      index = "0",
      arity = "0..1",
      paramLabel = "DIR",
      description = "A Hugging Face model directory.")
  @Nullable Path directory;

  @Override
  public Integer call() throws IOException {
    Map<String, @Nullable Object> json = new LinkedHashMap<>();
    List<List<String>> rows = new ArrayList<>();
    var os = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    put(json, rows, "version", Version.version());
    put(json, rows, "commit", Version.commit());
    put(json, rows, "os", System.getProperty("os.name") + " " + System.getProperty("os.version"));
    put(json, rows, "architecture", System.getProperty("os.arch"));
    put(json, rows, "cores", Runtime.getRuntime().availableProcessors());
    put(json, rows, "jdk", Runtime.version() + ", " + System.getProperty("java.vm.name"));
    put(json, rows, "java home", System.getProperty("java.home"));
    bytes(json, rows, "memory", os.getTotalMemorySize());
    bytes(json, rows, "free memory", os.getFreeMemorySize());
    bytes(json, rows, "largest heap", Runtime.getRuntime().maxMemory());
    limit(json, rows, "locked memory limit", "Max locked memory");
    limit(json, rows, "address space limit", "Max address space");
    put(json, rows, "transparent huge pages", hugePages());
    put(json, rows, "cache directory", DemoModel.cacheDirectory().toString());
    output.table(List.of("machine", ""), rows);
    output.line("");
    backends(json);
    if (directory != null) {
      output.line("");
      new TableReport(directory, output).write(json);
    }
    try (SlicedTables tables = remote.connect()) {
      if (tables != null) {
        output.line("");
        RemoteReport.write(tables, output, json);
      }
    }
    output.json(json);
    return 0;
  }

  private static void put(
      Map<String, @Nullable Object> json, List<List<String>> rows, String name, Object value) {
    json.put(name.replace(' ', '_'), value);
    rows.add(List.of(name, value.toString()));
  }

  private static void bytes(
      Map<String, @Nullable Object> json, List<List<String>> rows, String name, long value) {
    json.put(name.replace(' ', '_') + "_bytes", value);
    rows.add(List.of(name, Text.bytes(value)));
  }

  private void backends(Map<String, @Nullable Object> json) {
    List<List<String>> rows = new ArrayList<>();
    List<Map<String, Object>> objects = new ArrayList<>();
    String choice = choice();
    for (BackendProvider provider : Backends.providers()) {
      String reason = provider.unavailable().orElse("");
      boolean first = provider.name().equals(choice);
      String description = reason.isEmpty() ? provider.create().description() : reason;
      Map<String, Object> object = new LinkedHashMap<>();
      object.put("name", provider.name());
      object.put("available", reason.isEmpty());
      object.put("chosen", first);
      object.put("description", description);
      objects.add(object);
      String state = first ? "chosen" : reason.isEmpty() ? "available" : "not available";
      rows.add(List.of(provider.name(), state, description));
      object.put("variants", variants(provider, rows));
    }
    json.put("backends", objects);
    output.table(List.of("backend", "state", "what it is, or why not"), rows);
    boolean taken = objects.stream().anyMatch(o -> Boolean.TRUE.equals(o.get("chosen")));
    json.put("backend", taken ? choice : "");
    if (!taken) {
      output.line("no backend can be chosen: %s", choice);
    }
  }

  private static List<Map<String, Object>> variants(
      BackendProvider provider, List<List<String>> rows) {
    List<Map<String, Object>> objects = new ArrayList<>();
    for (BackendProvider.Variant variant : provider.variants()) {
      String reason = variant.unavailable().orElse("");
      boolean available = reason.isEmpty();
      objects.add(
          Map.of(
              "name",
              variant.name(),
              "available",
              available,
              "chosen",
              variant.chosen(),
              "reason",
              reason));
      String state = variant.chosen() ? "chosen" : available ? "available" : "not available";
      rows.add(List.of("  " + variant.name(), state, reason));
    }
    return objects;
  }

  /** Returns the backend that commands would take, or why they would take none. */
  private static String choice() {
    try {
      return Backends.select().name();
    } catch (IllegalStateException | IllegalArgumentException e) {
      return String.valueOf(e.getMessage());
    }
  }

  /** In JSON null is no limit, or none that is known. */
  private static void limit(
      Map<String, @Nullable Object> json, List<List<String>> rows, String name, String line) {
    String value = limit(line);
    boolean known = value.matches("\\d+");
    json.put(name.replace(' ', '_') + "_bytes", known ? Long.valueOf(value) : null);
    rows.add(List.of(name, known ? Text.bytes(Long.parseLong(value)) : value));
  }

  private static String limit(String name) {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/limits"))) {
        if (line.startsWith(name)) {
          return line.substring(name.length()).strip().split("\\s+", 2)[0];
        }
      }
    } catch (IOException e) {
      return "unknown"; // no Linux
    }
    return "unknown";
  }

  private static String hugePages() {
    try {
      return Files.readString(Path.of("/sys/kernel/mm/transparent_hugepage/enabled")).strip();
    } catch (IOException e) {
      return "unknown";
    }
  }
}

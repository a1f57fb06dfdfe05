package io.engram4j.cli;

import io.engram4j.remote.EndpointStatistics;
import io.engram4j.remote.RemoteOptions;
import io.engram4j.remote.SlicedTables;
import io.engram4j.table.TableOptions;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Of commands that open a model: whose machines have its rows. */
final class RemoteOption {
  @Option(
      names = "--remote",
      paramLabel = "ADDRESS",
      description =
          "Take rows from other machines: redis://host:6379, ucx://host:7000, several with commas"
              + " between them, or the path of a manifest that names them.")
  @Nullable String address;

  /** Connects if an address was given, to rows that stay the same; null else. */
  @Nullable SlicedTables connect() throws IOException {
    return address == null ? null : SlicedTables.connect(address, RemoteOptions.defaults().pin());
  }

  /** Returns options with the tables that were connected, if any were. */
  static TableOptions with(TableOptions options, @Nullable SlicedTables tables) {
    return tables == null ? options : options.remote(tables);
  }

  /** Shows what each endpoint did. */
  static List<Map<String, Object>> show(Output output, SlicedTables tables) {
    List<List<String>> rows = new ArrayList<>();
    List<Map<String, Object>> objects = new ArrayList<>();
    for (EndpointStatistics one : tables.endpoints()) {
      rows.add(
          List.of(
              one.address(),
              Text.count(one.requests()),
              Text.count(one.failures()),
              micros(one.medianNanos()),
              micros(one.worstNanos())));
      objects.add(
          Map.of(
              "endpoint", one.address(),
              "generation", one.generation(),
              "requests", one.requests(),
              "failures", one.failures(),
              "median_us", one.medianNanos() / 1e3,
              "p99_us", one.worstNanos() / 1e3));
    }
    output.table(List.of("endpoint", "requests", "failed", "median us", "99 %"), rows);
    return objects;
  }

  private static String micros(long nanos) {
    return String.format(Locale.ROOT, "%.0f", nanos / 1e3);
  }
}

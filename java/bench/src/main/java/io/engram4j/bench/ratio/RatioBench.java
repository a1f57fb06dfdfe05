package io.engram4j.bench.ratio;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.engram4j.Backends;
import io.engram4j.kernel.Backend;
import io.engram4j.model.LayerLayout;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.concurrent.Callable;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code engram bench}. */
@Command(
    name = "engram bench",
    mixinStandardHelpOptions = true,
    header = "Measure every stage beside its physical limit and its rivals.",
    description =
        "Limits are touching the same rows, copying the same bytes, reading the same weights;"
            + " rivals are plain Java, the Vector API, OpenBLAS, ONNX Runtime, PyTorch. Linux"
            + " x86-64 with AVX2 only. All take turns, round by round; medians, smallest and"
            + " largest are told. Takes about 20 minutes and 14 GB of memory, or a few minutes and"
            + " 4 GB with --quick.")
public final class RatioBench implements Callable<Integer> {
  private static final List<String> PARTS =
      List.of("rows", "types", "ple", "gate", "data", "project", "layer", "memo", "vector");

  @Option(
      names = "--quick",
      description = "A smaller table and fewer rounds, to see that it works.")
  private boolean quick;

  @Option(names = "--json", description = "Print the result as one JSON object.")
  private boolean json;

  @Option(
      names = "--debug",
      description = "On an error, print the stack trace too; log what goes on.")
  private boolean debug;

  @Option(names = "--out", paramLabel = "FILE", description = "Write that JSON object there.")
  private @Nullable Path out;

  @Option(names = "--svg", paramLabel = "FILE", description = "Draw the roofline there.")
  private @Nullable Path svg;

  @Option(
      names = "--file",
      paramLabel = "FILE",
      description = "UTF-8 prose, such as a novel, for the gain of the memo.")
  private @Nullable Path prose;

  @Option(
      names = "--code",
      paramLabel = "ZIP",
      description = "Sources for the gain of the memo; by default java.util of the JDK's src.zip.")
  private Path code = Path.of(System.getProperty("java.home"), "lib", "src.zip");

  @Option(
      names = "--only",
      paramLabel = "PART",
      split = ",",
      description = "Some of rows, types, ple, gate, data, project, layer, memo, vector.")
  private List<String> only = PARTS;

  private final Report report = new Report();

  /** Made by picocli. */
  public RatioBench() {}

  /** Runs the command. */
  public static void main(String[] args) {
    if (List.of(args).contains("--debug")) {
      System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "debug"); // before any logger
    }
    System.exit(commandLine().execute(args));
  }

  /** Errors are told as the other commands do: in one line, with exit code 2. */
  static CommandLine commandLine() {
    RatioBench bench = new RatioBench();
    CommandLine line = new CommandLine(bench);
    line.setParameterExceptionHandler(
        (e, args) -> error(e.getMessage() + " (see engram bench --help)"));
    line.setExecutionExceptionHandler((e, command, parsed) -> {
      if (bench.debug) {
        e.printStackTrace();
      }
      boolean told = e instanceof IllegalArgumentException;
      return error(told ? String.valueOf(e.getMessage()) : e.toString());
    });
    return line;
  }

  private static int error(String message) {
    System.err.println("error: " + message.strip().replaceAll("\\s*\\R\\s*", " "));
    return 2;
  }

  @Override
  public Integer call() throws IOException, InterruptedException {
    requireArguments();
    if (!System.getProperty("os.name").equals("Linux")
        || !System.getProperty("os.arch").equals("amd64")) {
      throw new IllegalArgumentException("so far this measures on Linux x86-64 only");
    }
    double gigabytes = quick ? 1 : 8.45;
    int rounds = quick ? 5 : 15;
    List<Rival> rivals = new ArrayList<>();
    ServiceLoader.load(Rival.class).forEach(rivals::add);
    Map<String, Backend> backends = backends();
    String best = backends.keySet().iterator().next();
    LayerLayout layout = Shapes.layout(gigabytes);
    describe(gigabytes, layout, rounds, rivals, backends.keySet());
    try {
      onTheTable(gigabytes, layout, rounds, backends, best, rivals);
      if (only.contains("types")) {
        step("types of rows and weights");
        long bytes = (long) ((quick ? 0.5 : 4) * 1e9);
        new TypeRaces(report, rounds, backends, best, bytes).run();
      }
      if (only.contains("ple")) {
        step("Qwen's layer without projections");
        new PleRaces(report, rounds, backends, best, (long) ((quick ? 0.5 : 4) * 1e9)).run(rivals);
      }
      if (only.contains("gate")) {
        step("gate");
        new GateRaces(report, rounds, backends, best).run();
      }
      if (only.contains("data")) {
        step("data");
        new DataRaces(report, rounds, backends).run();
      }
      if (only.contains("project")) {
        step("project");
        ProjectRaces project = new ProjectRaces(report, rounds, backends, best);
        project.againstReading();
        project.againstRivals(rivals);
      }
      if (only.contains("vector")) {
        step("vector, in five JVMs");
        VectorStarts.run(report, gigabytes, quick ? 5 : 9, 5);
      }
    } finally {
      rivals.forEach(Rival::close);
    }
    write(backends.keySet());
    if (!json) {
      report.print();
      System.out.print(quick ? "\nThe floors are those of a run without --quick.\n" : "");
    }
    if (quick) {
      return 0;
    }
    return report.ratios.stream().allMatch(Report.Ratio::holds) ? 0 : 1;
  }

  /** Before twenty minutes of work. */
  private void requireArguments() {
    for (String part : only) {
      if (!PARTS.contains(part)) {
        throw new IllegalArgumentException("--only " + part + " is none of the parts " + PARTS);
      }
    }
    if (prose != null && !Files.isReadable(prose)) {
      throw new IllegalArgumentException("--file " + prose + " cannot be read");
    }
    for (Path file : new @Nullable Path[] {out, svg}) {
      Path folder = file == null ? null : file.toAbsolutePath().getParent();
      if (folder != null && !Files.isDirectory(folder)) {
        throw new IllegalArgumentException("the folder of " + file + " does not exist");
      }
    }
  }

  private void onTheTable(
      double gigabytes,
      LayerLayout layout,
      int rounds,
      Map<String, Backend> backends,
      String best,
      List<Rival> rivals)
      throws IOException {
    RowRaces rows = new RowRaces(report, rounds, backends, best);
    if (only.contains("rows")) {
      step("hash and gather");
      rows.hash(layout);
      rows.gatherOfTheDemo();
      MemorySegment ordinary = Shapes.rows(layout.rows(), Shapes.HEAD_DIM, false);
      rows.gather(layout.rows(), ordinary, false);
      Limits.free(ordinary);
    }
    if (only.stream().noneMatch(List.of("rows", "layer", "memo")::contains)) {
      return;
    }
    MemorySegment huge = Shapes.rows(layout.rows(), Shapes.HEAD_DIM, true);
    if (only.contains("rows")) {
      rows.gather(layout.rows(), huge, true);
    }
    if (only.contains("layer")) {
      step("layer without projection");
      LayerRaces layers = new LayerRaces(report, rounds, backends, best, layout, huge);
      layers.callShare(Shapes.otherLayout(gigabytes));
      layers.againstRivals(rivals);
    }
    if (only.contains("memo")) {
      step("whole layer");
      memo(new WholeLayer(report, gigabytes, layout, huge, Shapes.cpu(best)));
    }
    Limits.free(huge);
  }

  private void memo(WholeLayer layer) throws IOException {
    layer.allocation(quick ? 1000 : 4000);
    long bytes = quick ? 1_000_000_000L : 4_000_000_000L;
    int chunks = quick ? 5 : 15;
    if (prose == null) {
      report.leave("memo_gain_prose: give a novel with --file");
    } else {
      String novel = Files.readString(prose);
      layer.memo("memo_gain_prose", "memo, prose", novel, bytes, chunks, 1.15, 1.3);
    }
    if (Files.exists(code)) {
      layer.memo("memo_gain_code", "memo, source code", sources(), bytes, chunks, 2.5, 4);
    } else {
      report.leave("memo_gain_code: there is no " + code + "; name one with --code");
    }
  }

  private String sources() throws IOException {
    StringBuilder all = new StringBuilder();
    try (ZipInputStream zip = new ZipInputStream(Files.newInputStream(code))) {
      for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
        if (entry.getName().matches("java.base/java/util/[A-Z]\\w*\\.java")) {
          all.append(new String(zip.readAllBytes(), StandardCharsets.UTF_8));
        }
      }
    }
    return all.toString();
  }

  /** The default way first; every tier of the C kernels that this CPU has; the others. */
  private static Map<String, Backend> backends() {
    Map<String, Backend> backends = new LinkedHashMap<>();
    for (String tier : List.of("amx_bf16", "avx512_bf16", "avx512", "avx2")) {
      Backend backend = Shapes.cpu(tier);
      if (backend.description().contains("tier " + tier)) {
        backends.put(tier, backend);
      }
    }
    backends.put("vector", Backends.named("vector"));
    backends.put("java", Backends.named("java"));
    return backends;
  }

  private void describe(
      double gigabytes, LayerLayout layout, int rounds, List<Rival> rivals, Iterable<String> tiers)
      throws IOException {
    report.machine.put("date", java.time.LocalDate.now(java.time.ZoneOffset.UTC).toString());
    report.machine.put("CPU", cpu());
    report.machine.put("tiers", String.join(", ", tiers));
    report.machine.put("cores", Integer.toString(Runtime.getRuntime().availableProcessors()));
    report.machine.put("Java", System.getProperty("java.vm.version"));
    report.machine.put("C kernels", Backends.named("cpu").description().replaceAll(", /.*", ""));
    report.machine.put("rivals", rivals.stream().map(Rival::name).toList().toString());
    String table = String.format(Locale.ROOT, "%,d rows, %.2f GB", layout.rows(), gigabytes);
    report.machine.put("table", table);
    report.machine.put("rounds", Integer.toString(rounds));
    if (rivals.isEmpty()) {
      report.leave("the rivals: build with -Privals");
    }
  }

  /** Hypervisors often hide the name, so the numbers by which CPUs tell their model as well. */
  private static String cpu() throws IOException {
    Path info = Path.of("/proc/cpuinfo");
    if (!Files.exists(info)) {
      return System.getProperty("os.arch");
    }
    Map<String, String> first = new LinkedHashMap<>();
    for (String line : Files.readAllLines(info)) {
      int colon = line.indexOf(':');
      if (colon > 0) {
        first.putIfAbsent(line.substring(0, colon).trim(), line.substring(colon + 1).trim());
      }
    }
    return first.get("model name")
        + ", family "
        + first.get("cpu family")
        + ", model "
        + first.get("model")
        + ", stepping "
        + first.get("stepping")
        + ", microcode "
        + first.get("microcode");
  }

  private static void step(String name) {
    System.err.println(name);
  }

  private void write(Iterable<String> names) throws IOException {
    if (json || out != null) {
      Map<String, Object> all = new LinkedHashMap<>();
      all.put("machine", report.machine);
      Map<String, Object> ratios = new LinkedHashMap<>();
      report.ratios.forEach(ratio -> ratios.put(ratio.key(), ratio));
      all.put("ratios", ratios);
      all.put("times", report.times);
      all.put("not_measured", report.left);
      ObjectMapper mapper = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);
      String text = mapper.writeValueAsString(all);
      if (out != null) {
        Files.writeString(out, text + "\n");
      }
      if (json) {
        System.out.println(text);
      }
    }
    if (svg != null) {
      Files.writeString(svg, roofline(names.iterator().next()).svg());
    }
  }

  private Roofline roofline(String best) {
    double weights = (double) Shapes.OUTPUTS * Shapes.INPUTS;
    double reading = nanos("project, 1 token, 1 thread, reading the weights");
    double blas = 0;
    for (Report.Time time : report.times) {
      if (time.name().startsWith("project, 64 tokens, 1 thread, OpenBLAS")) {
        blas = 2 * weights / time.nanos();
      }
    }
    Roofline picture = new Roofline(weights / reading, blas);
    for (int tokens : new int[] {1, 8, 64}) {
      double nanos = nanos("project, " + tokens + " tokens, 1 thread, " + best);
      String name = "project, T = " + tokens;
      picture.add(name, 2 * weights * tokens, weights, nanos * tokens);
    }
    double elements = (double) Shapes.BRANCHES * Shapes.HIDDEN;
    double gateBytes = 4 * (2 * elements + Shapes.OUTPUTS);
    String gate = "gate, V4.1 width, F32, 512 tokens, " + best;
    picture.add("gate, T = 512", 9 * elements, gateBytes, nanos(gate));
    String gather = "gather, huge pages, 1 tokens a call, " + best;
    picture.add("gather", Shapes.HEAD_DIM, Shapes.ROW_BYTES, nanos(gather));
    return picture;
  }

  private double nanos(String name) {
    return report.times.stream()
        .filter(time -> time.name().equals(name))
        .mapToDouble(Report.Time::nanos)
        .findFirst()
        .orElse(Double.NaN);
  }
}

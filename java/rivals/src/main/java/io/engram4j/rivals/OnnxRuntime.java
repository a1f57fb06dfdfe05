package io.engram4j.rivals;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.engram4j.bench.ratio.Rival;
import io.engram4j.format.E4m3;
import io.engram4j.format.E8m0;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * Hash, gather and gate, and the projection, by ONNX Runtime on one thread. Its tensors end at 2
 * GB, so each column of the table is one; nothing is copied.
 */
public final class OnnxRuntime implements Rival {
  private static final int COLUMNS = WindowHash.COLUMNS;
  private static final int ROW = 264;
  private static final int HIDDEN = 5120;
  private static final int BLOCK = 32;

  private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
  private final List<AutoCloseable> open = new ArrayList<>();

  /** Made by the service loader. */
  public OnnxRuntime() {}

  @Override
  public String name() {
    return "ONNX Runtime " + environment.getVersion();
  }

  private OrtSession session(byte[] model) throws OrtException {
    return kept(environment.createSession(model, options()));
  }

  private OrtSession.SessionOptions options() throws OrtException {
    OrtSession.SessionOptions options = kept(new OrtSession.SessionOptions());
    options.setIntraOpNumThreads(1);
    options.setInterOpNumThreads(1);
    options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.ALL_OPT);
    return options;
  }

  private <T extends AutoCloseable> T kept(T made) {
    open.add(made);
    return made;
  }

  /** A tensor over memory of the caller's. */
  private OnnxTensor over(MemorySegment memory, OnnxJavaType type, long... shape)
      throws OrtException {
    long bytes = type.size;
    for (long size : shape) {
      bytes *= size;
    }
    ByteBuffer buffer = memory.asSlice(0, bytes).asByteBuffer().order(ByteOrder.nativeOrder());
    return kept(OnnxTensor.createTensor(environment, buffer, shape, type));
  }

  private static MemorySegment allocate(long bytes) {
    return java.lang.foreign.Arena.global().allocate(bytes, 64);
  }

  private static byte[] rowsModel(int tokens, long[] primes) {
    OnnxGraph graph = new OnnxGraph();
    String ids = graph.input("ids", OnnxGraph.Type.INT64, tokens, COLUMNS);
    List<String> own = IntStream.range(0, COLUMNS).mapToObj(c -> "ids" + c).toList();
    graph.named("Split", own, "axis", 1, ids);
    String[] picked = new String[COLUMNS];
    for (int column = 0; column < COLUMNS; column++) {
      String table = graph.input("table" + column, OnnxGraph.Type.UINT8, primes[column], ROW);
      picked[column] = graph.node("Gather", table, own.get(column)); // [tokens, 1, 264]
    }
    String rows = graph.node("Concat", "axis", 1, picked);
    float[] codes = new float[256];
    float[] scales = new float[256];
    for (int code = 0; code < 256; code++) {
      codes[code] = E4m3.toFloat((byte) code);
      scales[code] = E8m0.toFloat((byte) code);
    }
    String values = looked(graph, rows, 0, 256, codes, 32);
    String factors = looked(graph, rows, 256, ROW, scales, 1);
    String product = graph.node("Mul", values, factors);
    String shape = graph.integers(tokens, 6144);
    graph.named("Reshape", List.of("rows"), "", 0, product, shape);
    graph.output("rows", OnnxGraph.Type.FLOAT, tokens, 6144);
    return graph.model();
  }

  private static String looked(
      OnnxGraph graph, String rows, int from, int to, float[] numbers, int width) {
    String part =
        graph.node("Slice", rows, graph.integers(from), graph.integers(to), graph.integers(2));
    String indices = graph.node("Cast", "to", 6, part); // int32
    String widened = graph.node("Gather", graph.floats(numbers, 256), indices);
    return graph.node("Reshape", widened, graph.integers(-1, 8, width));
  }

  private static byte[] gateModel(int tokens) {
    OnnxGraph graph = new OnnxGraph();
    String kv = graph.input("kv", OnnxGraph.Type.FLOAT, tokens, 5, HIDDEN);
    String stream = graph.input("stream", OnnxGraph.Type.FLOAT, tokens, 4, HIDDEN);
    String weights = graph.input("product", OnnxGraph.Type.FLOAT, 4, HIDDEN);
    String branches = graph.integers(1);
    String keys = graph.node("Slice", kv, graph.integers(0), graph.integers(4), branches);
    String value = graph.node("Slice", kv, graph.integers(4), graph.integers(5), branches);
    String weighted = graph.node("Mul", normed(graph, stream), weights);
    String terms = graph.node("Mul", weighted, normed(graph, keys));
    String dots = graph.node("ReduceSum", terms, graph.integers(2)); // [tokens, 4, 1]
    String small = graph.node("Div", dots, graph.number((float) Math.sqrt(HIDDEN)));
    String size = graph.node("Max", graph.node("Abs", small), graph.number(1e-6f));
    String roots = graph.node("Mul", graph.node("Sqrt", size), graph.node("Sign", small));
    String gated = graph.node("Mul", graph.node("Sigmoid", roots), value);
    graph.named("Add", List.of("updated"), "", 0, stream, gated);
    graph.output("updated", OnnxGraph.Type.FLOAT, tokens, 4, HIDDEN);
    return graph.model();
  }

  private static String normed(OnnxGraph graph, String x) {
    String squares = graph.node("Mul", x, x);
    String sums = graph.node("ReduceSum", squares, graph.integers(2));
    String means = graph.node("Div", sums, graph.number(HIDDEN));
    String roots = graph.node("Sqrt", graph.node("Add", means, graph.number(1e-20f)));
    return graph.node("Div", x, roots);
  }

  @Override
  public Optional<LayerRun> layer(Layer layer) {
    try {
      return Optional.of(new Run(layer));
    } catch (OrtException e) {
      throw new IllegalStateException(e);
    }
  }

  private final class Run implements LayerRun {
    private final MemorySegment windows;
    private final WindowHash hash;
    private final long[] newest;
    private final MemorySegment ids;
    private final MemorySegment rows;
    private final OrtSession rowsSession;
    private final OrtSession gateSession;
    private final Map<String, OnnxTensor> rowsInputs = new LinkedHashMap<>();
    private final Map<String, OnnxTensor> rowsOutputs;
    private final Map<String, OnnxTensor> gateInputs;
    private final Map<String, OnnxTensor> gateOutputs;

    Run(Layer layer) throws OrtException {
      int tokens = layer.tokens();
      this.windows = layer.windows();
      this.hash = new WindowHash(layer);
      this.newest = new long[4 * tokens];
      this.ids = allocate(8L * tokens * COLUMNS);
      this.rows = allocate(4L * tokens * 6144);
      this.rowsSession = session(rowsModel(tokens, hash.primes));
      this.gateSession = session(gateModel(tokens));
      rowsInputs.put("ids", over(ids, OnnxJavaType.INT64, tokens, COLUMNS));
      for (int column = 0; column < COLUMNS; column++) {
        MemorySegment own = layer.table().asSlice(ROW * hash.offsets[column]);
        long count = hash.primes[column];
        rowsInputs.put("table" + column, over(own, OnnxJavaType.UINT8, count, ROW));
      }
      this.rowsOutputs = Map.of("rows", over(rows, OnnxJavaType.FLOAT, tokens, 6144));
      OnnxTensor stream = over(layer.stream(), OnnxJavaType.FLOAT, tokens, 4, HIDDEN);
      this.gateInputs =
          Map.of(
              "kv",
              over(layer.kv(), OnnxJavaType.FLOAT, tokens, 5, HIDDEN),
              "stream",
              stream,
              "product",
              over(layer.product(), OnnxJavaType.FLOAT, 4, HIDDEN));
      this.gateOutputs = Map.of("updated", stream); // in place, by its last node
    }

    @Override
    public void run() {
      for (int i = 0; i < newest.length; i++) {
        newest[i] = windows.getAtIndex(ValueLayout.JAVA_INT, i);
      }
      long[] own = hash.ids(newest, false);
      MemorySegment.copy(own, 0, ids, ValueLayout.JAVA_LONG, 0, own.length);
      try {
        rowsSession.run(rowsInputs, rowsOutputs).close();
        gateSession.run(gateInputs, gateOutputs).close();
      } catch (OrtException e) {
        throw new IllegalStateException(e);
      }
    }

    @Override
    public float[] rows() {
      return rows.toArray(ValueLayout.JAVA_FLOAT);
    }
  }

  @Override
  public Optional<Runnable> project(Project project) {
    OnnxGraph graph = new OnnxGraph();
    String in = graph.input("in", OnnxGraph.Type.FLOAT, project.tokens(), project.inputs());
    long bytes = 4L * project.outputs() * project.inputs();
    OnnxGraph.Type type = OnnxGraph.Type.FLOAT;
    String weight = graph.external("weights", type, bytes, project.outputs(), project.inputs());
    graph.named("Gemm", List.of("out"), "transB", 1, in, weight);
    return Optional.of(projection(project, graph, Map.of("weights", project.weight())));
  }

  @Override
  public String narrowType() {
    return "int8";
  }

  /** Blocks of 32 weights with a scale each, multiplied as 8-bit integers. */
  @Override
  public Optional<Runnable> narrowProject(Project project) {
    int blocks = project.inputs() / BLOCK;
    long count = (long) project.outputs() * blocks;
    MemorySegment numbers = allocate(count * BLOCK);
    MemorySegment scales = allocate(4 * count);
    for (long block = 0; block < count; block++) {
      float most = 0;
      for (int i = 0; i < BLOCK; i++) {
        long at = block * BLOCK + i;
        most = Math.max(most, Math.abs(project.weight().getAtIndex(ValueLayout.JAVA_FLOAT, at)));
      }
      float scale = most / 127;
      scales.setAtIndex(ValueLayout.JAVA_FLOAT, block, scale);
      for (int i = 0; i < BLOCK; i++) {
        long at = block * BLOCK + i;
        float weight = project.weight().getAtIndex(ValueLayout.JAVA_FLOAT, at);
        int number = scale == 0 ? 0 : Math.round(weight / scale);
        numbers.set(ValueLayout.JAVA_BYTE, at, (byte) (number + 128));
      }
    }
    OnnxGraph graph = new OnnxGraph();
    String in = graph.input("in", OnnxGraph.Type.FLOAT, project.tokens(), project.inputs());
    OnnxGraph.Type bytes = OnnxGraph.Type.UINT8;
    String weight =
        graph.external("weights", bytes, count * BLOCK, project.outputs(), blocks, BLOCK);
    String factors = graph.external("scales", OnnxGraph.Type.FLOAT, 4 * count, count);
    graph.extension(
        "MatMulNBits",
        "out",
        Map.of(
            "K",
            project.inputs(),
            "N",
            project.outputs(),
            "bits",
            8,
            "block_size",
            BLOCK,
            "accuracy_level",
            4),
        in,
        weight,
        factors);
    return Optional.of(projection(project, graph, Map.of("weights", numbers, "scales", scales)));
  }

  /** Files live only until they are loaded. */
  private Runnable projection(
      Project project, OnnxGraph graph, Map<String, MemorySegment> constants) {
    graph.output("out", OnnxGraph.Type.FLOAT, project.tokens(), project.outputs());
    try {
      Path directory = Files.createTempDirectory("engram-onnx");
      Path model = directory.resolve("model.onnx");
      try {
        for (Map.Entry<String, MemorySegment> constant : constants.entrySet()) {
          write(constant.getValue(), directory.resolve(constant.getKey()));
        }
        Files.write(model, graph.model());
        return projection(kept(environment.createSession(model.toString(), options())), project);
      } finally {
        for (String name : constants.keySet()) {
          Files.deleteIfExists(directory.resolve(name));
        }
        Files.deleteIfExists(model);
        Files.delete(directory);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (OrtException e) {
      throw new IllegalStateException(e);
    }
  }

  private static void write(MemorySegment data, Path file) throws IOException {
    try (FileChannel out =
        FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
      ByteBuffer bytes = data.asByteBuffer();
      while (bytes.hasRemaining()) {
        out.write(bytes);
      }
    }
  }

  private Runnable projection(OrtSession session, Project project) throws OrtException {
    OnnxTensor in = over(project.in(), OnnxJavaType.FLOAT, project.tokens(), project.inputs());
    OnnxTensor out = over(project.out(), OnnxJavaType.FLOAT, project.tokens(), project.outputs());
    return () -> {
      try {
        session.run(Map.of("in", in), Map.of("out", out)).close();
      } catch (OrtException e) {
        throw new IllegalStateException(e);
      }
    };
  }

  @Override
  public void close() {
    for (AutoCloseable one : open.reversed()) {
      try {
        one.close();
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
    }
  }
}

package io.engram4j.spark;

import static org.apache.spark.sql.functions.col;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.Backends;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.TokenMap;
import io.engram4j.table.RowSeed;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import org.apache.spark.api.java.function.MapFunction;
import org.apache.spark.serializer.JavaSerializer;
import org.apache.spark.serializer.KryoSerializer;
import org.apache.spark.serializer.SerializerInstance;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import scala.collection.Seq;
import scala.reflect.ClassTag;
import scala.reflect.ClassTag$;

/** Spark's own engine, in local mode, against direct calls of the library. */
final class EngramSparkTest {
  private static final int VOCABULARY = 129_280;
  private static final int DOCUMENT = 1000;
  private static final int TOKENS = 10_000_000;

  private static final SparkSession spark =
      SparkSession.builder()
          .master("local[*]")
          .config("spark.ui.enabled", false)
          .config("spark.sql.shuffle.partitions", 4)
          .config("spark.driver.host", "localhost")
          .config("spark.driver.bindAddress", "127.0.0.1")
          .getOrCreate();

  @AfterAll
  static void stop() {
    spark.stop();
  }

  /** V4.1-Flash's hash. */
  private static EngramConfig config() {
    return EngramConfig.builder()
        .hiddenSize(5120)
        .branches(4)
        .layerIds(List.of(1, 14))
        .ngrams(4, 16_000_000L)
        .heads(8, 256)
        .padTokenId(2)
        .imageTokenId(OptionalInt.of(VOCABULARY - 1))
        .tableRows(List.of(384_006_168L, 384_016_682L))
        .build();
  }

  /** A map as V4.1's in size; which ids it joins does not matter here. */
  private static TokenMap map() {
    int[] ids = new int[VOCABULARY];
    int distinct = 0;
    for (int i = 0; i < ids.length; i++) {
      ids[i] = i % 4 == 3 ? ids[i - 1] : distinct++;
    }
    return TokenMap.of(ids);
  }

  private static int[] document(long number) {
    SplittableRandom random = new SplittableRandom(number);
    // few tokens come often and many seldom, and a picture now and then
    return random
        .doubles(DOCUMENT)
        .mapToInt(x -> x < 0.001 ? VOCABULARY - 1 : (int) (x * x * x * VOCABULARY))
        .toArray();
  }

  private static Dataset<Row> corpus(long documents) {
    StructType schema =
        new StructType()
            .add("id", DataTypes.LongType, false)
            .add("ids", DataTypes.createArrayType(DataTypes.IntegerType, false), false);
    return spark
        .range(0, documents, 1, 8)
        .map(
            (MapFunction<Long, Row>) id -> RowFactory.create(id, document(id)),
            Encoders.row(schema));
  }

  private static long[] direct(EngramModel model, EngramLayer layer, int[] ids) {
    EngramSequence sequence = model.newSequence();
    sequence.append(ids);
    long[] rows = new long[ids.length * model.config().columns()];
    layer.hash(model.newBatch().add(sequence, 0, ids.length), MemorySegment.ofArray(rows));
    return rows;
  }

  @Test
  void tenMillionTokensAreHashedAsDirectly() throws IOException {
    long documents = TOKENS / DOCUMENT;
    EngramModel model = EngramModel.hashOnly(config(), map(), Backends.select());
    try (model;
        EngramSpark engram = new EngramSpark(spark, config(), map())) {
      long before = System.nanoTime();
      List<Row> digests =
          corpus(documents)
              .select(col("id"), engram.rows(col("ids"), 14).as("rows"))
              .map(
                  (MapFunction<Row, Row>)
                      row -> RowFactory.create(row.getLong(0), digest(row.getSeq(1))),
                  Encoders.row(
                      new StructType()
                          .add("id", DataTypes.LongType, false)
                          .add("digest", DataTypes.LongType, false)))
              .collectAsList();
      double spent = (System.nanoTime() - before) / 1e9;
      assertEquals(documents, digests.size());
      long start = System.nanoTime();
      EngramLayer layer = model.layer(14);
      for (Row row : digests) {
        long expected = 1;
        for (long id : direct(model, layer, document(row.getLong(0)))) {
          expected = 31 * expected + id;
        }
        assertEquals(expected, row.getLong(1), "document " + row.getLong(0));
      }
      double alone = (System.nanoTime() - start) / 1e9;
      report(spent, alone);
    }
  }

  private static long digest(Seq<Object> rows) {
    assertEquals(DOCUMENT * 24, rows.size());
    long digest = 1;
    for (int i = 0; i < rows.size(); i++) {
      digest = 31 * digest + (Long) rows.apply(i);
    }
    return digest;
  }

  private static void report(double spark, double alone) throws IOException {
    Path counts = Files.createDirectories(Path.of("target", "case-counts"));
    Files.writeString(
        counts.resolve("spark.txt"),
        "Spark %.1f s, one thread directly %.1f s, tokens hashed equally: %d%n"
            .formatted(spark, alone, TOKENS));
  }

  /** What a worker of a cluster gets, by either of Spark's serializers. */
  @Test
  void whatIsBroadcastArrives() {
    RowHasher hasher = new RowHasher(config(), map());
    long[] expected = hasher.rows(document(1), 14);
    for (SerializerInstance serializer :
        List.of(
            new JavaSerializer(spark.sparkContext().conf()).newInstance(),
            new KryoSerializer(spark.sparkContext().conf()).newInstance())) {
      ClassTag<RowHasher> tag = ClassTag$.MODULE$.apply(RowHasher.class);
      ByteBuffer bytes = serializer.serialize(hasher, tag);
      RowHasher arrived = serializer.deserialize(bytes, tag);
      assertArrayEquals(expected, arrived.rows(document(1), 14));
    }
  }

  @Test
  void wideIdsWorkAndNullIdsAreErrors() {
    try (EngramSpark engram = new EngramSpark(spark, config(), map())) {
      engram.register(spark);
      String rows = "SELECT engram_rows(%s, 1) AS rows";
      Row narrow = spark.sql(rows.formatted("array(5, 6, 7)")).first();
      Row wide = spark.sql(rows.formatted("array(5L, 6L, 7L)")).first();
      assertEquals(narrow, wide);
      Dataset<Row> broken = spark.sql(rows.formatted("array(5, CAST(NULL AS INT), 7)"));
      Exception error = assertThrows(Exception.class, broken::collectAsList);
      StringWriter text = new StringWriter();
      error.printStackTrace(new PrintWriter(text));
      assertTrue(text.toString().contains("token 1 of a document is null"), text.toString());
    }
  }

  @Test
  void sqlCountsAndHotRowsAreTheLibrarys() throws IOException {
    int documents = 20;
    EngramModel model = EngramModel.hashOnly(config(), map(), Backends.select());
    try (model;
        EngramSpark engram = new EngramSpark(spark, config(), map())) {
      engram.register(spark);
      corpus(documents).createOrReplaceTempView("corpus");
      Row first =
          spark
              .sql(
                  "SELECT engram_rows(ids, 1), engram_compress(ids), engram_rows(NULL, 1) FROM"
                      + " corpus WHERE id = 7")
              .first();
      List<Long> rows = first.getList(0);
      int[] ids = document(7);
      assertArrayEquals(
          direct(model, model.layer(1), ids), rows.stream().mapToLong(Long::longValue).toArray());
      List<Integer> compressed = first.getList(1);
      for (int i = 0; i < ids.length; i++) {
        int expected = ids[i] == VOCABULARY - 1 ? -1 : map().get(ids[i]);
        assertEquals(expected, compressed.get(i));
      }
      assertTrue(first.isNullAt(2));
      Map<Long, Long> counted = new HashMap<>();
      for (int document = 0; document < documents; document++) {
        for (long row : direct(model, model.layer(1), document(document))) {
          counted.merge(row, 1L, Long::sum);
        }
      }
      List<Row> counts = engram.rowCounts(corpus(documents), "ids", 1).collectAsList();
      assertEquals(counted.size(), counts.size());
      for (Row row : counts) {
        assertEquals(counted.get(row.getLong(0)), row.getLong(1));
      }
      RowSeed seed = engram.hotRows(corpus(documents), "ids", Map.of(1, "table one"), 50);
      long[] hot = seed.of("table one");
      assertEquals(50, hot.length);
      long least = Arrays.stream(hot).map(row -> counted.getOrDefault(row, 0L)).min().orElse(0);
      assertTrue(
          counted.values().stream().filter(count -> count > least).count() <= 50,
          "not the hottest");
    }
  }
}

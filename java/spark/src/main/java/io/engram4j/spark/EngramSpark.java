package io.engram4j.spark;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.explode;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.udf;

import io.engram4j.model.EngramConfig;
import io.engram4j.model.TokenMap;
import io.engram4j.table.RowSeed;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.api.java.UDF2;
import org.apache.spark.sql.expressions.UserDefinedFunction;
import org.apache.spark.sql.types.DataTypes;
import org.jspecify.annotations.Nullable;
import scala.collection.Seq;

/**
 * The token map and the hash over corpora: statistics of rows, profiles of hot rows, training data.
 * What is computed is what the library computes, document by document; a document's look-back ends
 * at its own beginning.
 *
 * <p>A corpus is a data set with a column of token ids, {@code array<int>} or {@code
 * array<bigint>}; a null document gives null, a null id is an error. Workers need Java 25 and this
 * library on their class path; configuration and map are broadcast.
 */
public final class EngramSpark implements AutoCloseable {
  private final Broadcast<RowHasher> hasher;
  private final UserDefinedFunction rows;
  private final UserDefinedFunction compress;
  private final int columns;

  /**
   * Broadcasts a model's configuration and token map.
   *
   * @param map as {@code EngramDirectory.read(path).map()} gives it
   * @throws IllegalArgumentException if the map does not fit the configuration
   */
  public EngramSpark(SparkSession spark, EngramConfig config, TokenMap map) {
    Broadcast<RowHasher> shared =
        JavaSparkContext.fromSparkContext(spark.sparkContext())
            .broadcast(new RowHasher(config, map));
    this.hasher = shared;
    this.columns = config.columns();
    UDF2<@Nullable Seq<?>, Integer, long @Nullable []> toRows =
        (ids, layer) -> shared.value().rows(ints(ids), layer);
    UDF1<@Nullable Seq<?>, int @Nullable []> toCompressed =
        ids -> shared.value().compress(ints(ids));
    this.rows = udf(toRows, DataTypes.createArrayType(DataTypes.LongType, false));
    this.compress = udf(toCompressed, DataTypes.createArrayType(DataTypes.IntegerType, false));
  }

  /** Spark hands over integers of whatever width the column has. */
  private static int @Nullable [] ints(@Nullable Seq<?> ids) {
    if (ids == null) {
      return null;
    }
    int[] array = new int[ids.size()];
    for (int i = 0; i < array.length; i++) {
      Object id = ids.apply(i);
      if (id instanceof Integer || id instanceof Long || id instanceof Short) {
        array[i] = Math.toIntExact(((Number) id).longValue());
      } else {
        throw new IllegalArgumentException("token " + i + " of a document is " + id + ", no id");
      }
    }
    return array;
  }

  /**
   * Registers the functions for SQL: {@code engram_rows(ids, layer)}, an {@code array<bigint>} of
   * [tokens, columns], and {@code engram_compress(ids)}, an {@code array<int>}.
   */
  public void register(SparkSession spark) {
    spark.udf().register("engram_rows", rows);
    spark.udf().register("engram_compress", compress);
  }

  /**
   * Returns the row ids of a column of token ids, {@code array<bigint>} [tokens, columns].
   *
   * @param layerId one of the configuration's; another fails when the query runs
   */
  public Column rows(Column ids, int layerId) {
    return rows.apply(ids, lit(layerId));
  }

  /** Returns the compressed ids of a column of token ids, -1 for tokens of images. */
  public Column compress(Column ids) {
    return compress.apply(ids);
  }

  /**
   * Counts how often a corpus wants each row of a layer.
   *
   * @param ids name of the column of token ids
   * @return {@code row_id} bigint and {@code count} bigint
   */
  public Dataset<Row> rowCounts(Dataset<Row> corpus, String ids, int layerId) {
    return corpus
        .select(explode(rows(col(ids), layerId)).as("row_id"))
        .groupBy("row_id")
        .agg(count(lit(1)).as("count"));
  }

  /**
   * Returns the rows that a corpus wants most, to seed the row caches of streamed tables with.
   *
   * @param tables per layer id the name of its table, as {@code engram inspect} shows it
   * @param most rows per layer
   */
  public RowSeed hotRows(Dataset<Row> corpus, String ids, Map<Integer, String> tables, int most) {
    Map<String, long[]> hot = new HashMap<>();
    tables.forEach((layer, table) -> {
      List<Row> ranked =
          rowCounts(corpus, ids, layer)
              .orderBy(col("count").desc(), col("row_id"))
              .limit(most)
              .collectAsList();
      hot.put(table, ranked.stream().mapToLong(row -> row.getLong(0)).toArray());
    });
    return new RowSeed(hot);
  }

  /** Returns how many row ids a token has. */
  public int columns() {
    return columns;
  }

  /** Frees the workers' copies. */
  @Override
  public void close() {
    hasher.destroy();
  }
}

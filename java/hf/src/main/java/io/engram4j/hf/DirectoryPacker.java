package io.engram4j.hf;

import io.engram4j.hf.SafetensorsWriter.Declaration;
import io.engram4j.model.TokenMapFile;
import io.engram4j.table.io.PackedFile;
import io.engram4j.table.io.Packer;
import io.engram4j.table.io.TableFile;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongConsumer;

/**
 * Writes a model's tables as packed files, into a directory of their own, which then holds all that
 * Engram needs of the model and nothing else, or beside the shards.
 */
public final class DirectoryPacker {
  private final EngramDirectory source;
  private final Path target;
  private final int threads;
  private final LongConsumer progress;

  /**
   * Prepares to pack.
   *
   * @param target a directory, made if need be; the source's own adds the packed files to it
   * @param threads how many read and write at once
   * @param progress hears of bytes of rows that are done, from any thread
   */
  public DirectoryPacker(EngramDirectory source, Path target, int threads, LongConsumer progress) {
    this.source = source;
    this.target = target;
    this.threads = threads;
    this.progress = progress;
  }

  /** Returns the bytes of all rows. */
  public long bytes() throws IOException {
    long bytes = 0;
    for (int layer : source.config().layerIds()) {
      bytes += source.tableFile(layer).bytes();
    }
    return bytes;
  }

  /**
   * Packs. Started again after it was ended in the midst, it goes on where it was.
   *
   * @return the packed files, in the order of the layers
   * @throws IOException if the source is not complete, cannot be read, or there is no room
   */
  public List<Path> pack() throws IOException {
    Files.createDirectories(target);
    List<Path> files = new ArrayList<>();
    for (int layer : source.config().layerIds()) {
      TableFile table = source.tableFile(layer);
      Path file = target.resolve(LayerTensors.packedName(layer));
      boolean done = Files.exists(file) && Files.isSameFile(file, table.weight().file());
      if (!done) {
        Packer.pack(table, file, threads, progress);
      }
      files.add(file);
    }
    if (!Files.isSameFile(target, source.path())) {
      writeRest();
    }
    return files;
  }

  /** Checks every row of the packed files of a directory against its checksum. */
  public static void verify(EngramDirectory packed, int threads, LongConsumer progress)
      throws IOException {
    for (int layer : packed.config().layerIds()) {
      Path file = packed.path().resolve(LayerTensors.packedName(layer));
      PackedFile.open(file).verify(threads, progress);
    }
  }

  /** Configuration, token map, tokenizer and the other tensors. */
  private void writeRest() throws IOException {
    copy("config.json");
    if (Files.exists(source.tokenizerJson())) {
      copy("tokenizer.json");
    }
    if (source.map().isPresent()) {
      TokenMapFile.save(source.map().get(), target.resolve(TokenMapFile.NAME));
    }
    List<TensorInfo> rest = new ArrayList<>();
    for (int layer : source.config().layerIds()) {
      TableFile table = source.tableFile(layer);
      for (TensorInfo tensor : source.tensors(layer)) {
        boolean ofTable =
            tensor.name().equals(table.name()) || tensor.name().endsWith(".embed.scale");
        if (!ofTable) {
          rest.add(tensor);
        }
      }
    }
    Path part = target.resolve("model.safetensors.part");
    write(rest, part);
    Path whole = target.resolve("model.safetensors");
    Files.move(part, whole, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  private void copy(String name) throws IOException {
    Path from = source.path().resolve(name);
    Files.copy(from, target.resolve(name), StandardCopyOption.REPLACE_EXISTING);
  }

  private static void write(List<TensorInfo> tensors, Path file) throws IOException {
    List<Declaration> declared = new ArrayList<>();
    for (TensorInfo tensor : tensors) {
      declared.add(new Declaration(tensor.name(), TensorData.dtype(tensor), tensor.shape()));
    }
    try (SafetensorsWriter writer = new SafetensorsWriter(file, declared)) {
      for (TensorInfo tensor : tensors) {
        try (Arena arena = Arena.ofConfined()) {
          MemorySegment data = SafetensorsFile.map(tensor, arena);
          for (long at = 0; at < data.byteSize(); at += 1 << 26) {
            long count = Math.min(1 << 26, data.byteSize() - at);
            writer.write(data.asSlice(at, count).asByteBuffer());
          }
        }
      }
    }
  }
}

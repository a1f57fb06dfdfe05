package io.engram4j.hf;

import io.engram4j.hf.SafetensorsWriter.Declaration;
import io.engram4j.host.Digests;
import io.engram4j.model.TokenMapFile;
import io.engram4j.table.io.PackedFile;
import io.engram4j.table.io.Packer;
import io.engram4j.table.io.TableFile;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.LongConsumer;

/**
 * Writes a model's tables as packed files, into a directory of their own, which then holds all that
 * Engram needs of the model and nothing else, or beside the shards.
 */
public final class DirectoryPacker {
  /** What the file of the other tensors says of the packing that it belongs to. */
  static final String PACKING = "engram4j.packing";

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
    Map<Integer, String> fingerprints = new LinkedHashMap<>();
    MessageDigest all = Digests.sha256();
    for (int layer : source.config().layerIds()) {
      TableFile table = source.tableFile(layer);
      byte[] fingerprint = table.fingerprint();
      fingerprints.put(layer, HexFormat.of().formatHex(fingerprint));
      all.update(fingerprint);
      all.update(table.identity().getBytes(StandardCharsets.UTF_8));
    }
    String packing = HexFormat.of().formatHex(all.digest());
    List<Path> files = new ArrayList<>();
    for (int layer : source.config().layerIds()) {
      TableFile table = source.tableFile(layer);
      Path file = target.resolve(LayerTensors.packedName(layer));
      boolean done = Files.exists(file) && Files.isSameFile(file, table.weight().file());
      if (!done) {
        String own = Objects.requireNonNull(fingerprints.get(layer));
        Packer.pack(table, new PackedFile.Origin(own, packing), file, threads, progress);
      }
      files.add(file);
    }
    if (!Files.isSameFile(target, source.path())) {
      writeRest(Map.of(PACKING, packing));
    }
    return files;
  }

  /**
   * Writes all that Engram needs of the model beside the rows: what a machine has whose rows lie on
   * others.
   *
   * @throws IOException if the source is not complete, cannot be read, or is the target
   */
  public void packRest() throws IOException {
    Files.createDirectories(target);
    if (Files.isSameFile(target, source.path())) {
      throw new IOException(target + " is the model itself");
    }
    writeRest(Map.of());
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
  private void writeRest(Map<String, String> metadata) throws IOException {
    copy("config.json");
    if (Files.exists(source.tokenizerJson())) {
      copy("tokenizer.json");
    }
    if (source.map().isPresent()) {
      TokenMapFile.save(source.map().get(), target.resolve(TokenMapFile.NAME));
    }
    List<TensorInfo> rest = new ArrayList<>();
    for (int layer : source.config().layerIds()) {
      for (TensorInfo tensor : source.tensors(layer)) {
        if (!source.isOfTable(layer, tensor)) {
          rest.add(tensor);
        }
      }
    }
    Path part = target.resolve("model.safetensors.part");
    Files.deleteIfExists(part); // of a run that was ended here
    write(rest, part, metadata);
    Path whole = target.resolve("model.safetensors");
    Files.move(part, whole, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  private void copy(String name) throws IOException {
    Path from = source.path().resolve(name);
    Files.copy(from, target.resolve(name), StandardCopyOption.REPLACE_EXISTING);
  }

  private static void write(List<TensorInfo> tensors, Path file, Map<String, String> metadata)
      throws IOException {
    List<Declaration> declared = new ArrayList<>();
    for (TensorInfo tensor : tensors) {
      declared.add(new Declaration(tensor.name(), TensorData.dtype(tensor), tensor.shape()));
    }
    try (SafetensorsWriter writer = new SafetensorsWriter(file, declared, metadata)) {
      for (TensorInfo tensor : tensors) {
        try (Arena arena = Arena.ofConfined()) {
          MemorySegment data = SafetensorsFile.read(tensor, arena);
          for (long at = 0; at < data.byteSize(); at += 1 << 26) {
            long count = Math.min(1 << 26, data.byteSize() - at);
            writer.write(data.asSlice(at, count).asByteBuffer());
          }
        }
      }
    }
  }
}

package io.engram4j.hf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramModel;
import io.engram4j.hf.SafetensorsWriter.Declaration;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.Dtype;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Tensors are where the shards have them, whatever an index says; and files that are none. */
class ShardIndexTest {
  @TempDir Path directory;

  @BeforeEach
  void write() throws IOException {
    SmallModel.write(directory);
  }

  private EngramModel open() throws IOException {
    return EngramDirectory.read(directory).open(new JavaBackend());
  }

  private String refused() {
    String message = String.valueOf(assertThrows(IOException.class, this::open).getMessage());
    assertFalse(message.chars().anyMatch(Character::isISOControl), message);
    return message;
  }

  private Path index() {
    return directory.resolve("model.safetensors.index.json");
  }

  @Test
  void anIndexOfAnotherSharding() throws IOException {
    SmallModel.edit(index(), "a.safetensors", "model-00007-of-00012.safetensors");
    open().close();
    SmallModel.edit(index(), "b.safetensors", "a.safetensors"); // there, but without them
    open().close();
  }

  @Test
  void anIndexThatLacksTensors() throws IOException {
    Files.writeString(index(), "{\"weight_map\": {}}");
    open().close();
  }

  @Test
  void noIndex() throws IOException {
    Files.delete(index());
    open().close();
  }

  @Test
  void theOneFileBesideAStaleIndex() throws IOException {
    Files.delete(directory.resolve("a.safetensors"));
    Files.delete(directory.resolve("b.safetensors"));
    List<Declaration> all = new ArrayList<>(SmallModel.tensors(1, 60));
    all.addAll(SmallModel.tensors(3, 120));
    SmallModel.shard(directory.resolve("model.safetensors"), all);
    open().close();
  }

  @Test
  void twoShardsWithTheSameTensorAreNotChosenFrom() throws IOException {
    Files.delete(index());
    SmallModel.shard(directory.resolve("z.safetensors"), SmallModel.tensors(1, 60));
    assertTrue(refused().contains("layers.1.engram.embed.weight is in both "));
  }

  @Test
  void whatIsNowhereIsToldByTheIndex() throws IOException {
    Files.delete(directory.resolve("b.safetensors"));
    assertTrue(refused().contains("b.safetensors does not exist, which holds layers.3.engram"));
  }

  @Test
  void pointersOfGitLfsAreTold() throws IOException {
    for (String name :
        List.of("a.safetensors", "tokenizer.json", "config.json", index().getFileName() + "")) {
      Path file = directory.resolve(name);
      byte[] own = Files.readAllBytes(file);
      Files.writeString(
          file,
          "version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 98305579008\n"
              .formatted(7));
      assertTrue(refused().contains(name + " is a Git LFS pointer"), name);
      Files.write(file, own);
    }
    open().close();
  }

  @Test
  void linksThatLeadNowhereAreTold() throws IOException {
    Path file = directory.resolve("a.safetensors");
    Files.delete(file);
    Files.createSymbolicLink(file, Path.of("../../blobs/0123"));
    assertTrue(refused().contains("a.safetensors is a link to ../../blobs/0123, which does not"));
  }

  @Test
  void namesOfFilesAndTensorsMoveNoCursor() throws IOException {
    String evil = "\u001b[2J\u001b]0;owned\u0007\u009b31m\u202e";
    String json = evil.replace("\u001b", "\\u001b").replace("\u0007", "\\u0007");
    String index = Files.readString(index());
    Files.writeString(index(), index.replace("b.safetensors", "x" + json + ".safetensors"));
    refused();
    Files.writeString(index(), index);
    SmallModel.shard(
        directory.resolve("c.safetensors"), List.of(Declaration.of(evil, Dtype.F32, 1)));
    String name =
        SafetensorsFile.open(directory.resolve("c.safetensors"))
            .tensors()
            .keySet()
            .iterator()
            .next();
    assertEquals("\\u001b[2J\\u001b]0;owned\\u0007\\u009b31m\\u202e", name);
  }

  @Test
  void addedTokensThatTokenizersNumberOtherwise() throws IOException {
    Path tokenizer = directory.resolve("tokenizer.json");
    String two =
        "{\"id\": 5, \"content\": \"<b>\"}, {\"id\": 4, \"content\": \"<end>\", \"special\": true}";
    SmallModel.edit(tokenizer, "{\"id\": 4, \"content\": \"<end>\", \"special\": true}", two);
    assertTrue(
        refused().contains("gives the added token <b> the id 5, but tokenizers number it 4"));
    SmallModel.edit(tokenizer, "\"id\": 5", "\"id\": 6");
    SmallModel.edit(tokenizer, "\"id\": 4", "\"id\": 5");
    SmallModel.edit(tokenizer, "\"id\": 6", "\"id\": 4");
    assertEquals(6, EngramDirectory.loadMap(tokenizer).size());
    // one of the vocabulary keeps its number, wherever it stands
    SmallModel.write(directory);
    String known = "{\"id\": 1, \"content\": \"The\"}, {\"id\": 4, \"content\": \"<end>\"}";
    SmallModel.edit(tokenizer, "{\"id\": 4, \"content\": \"<end>\", \"special\": true}", known);
    open().close();
    SmallModel.edit(
        tokenizer, "{\"id\": 1, \"content\": \"The\"}", "{\"id\": 2, \"content\": \"The\"}");
    assertTrue(refused().contains("added token The the id 2, but tokenizers number it 1"));
  }
}

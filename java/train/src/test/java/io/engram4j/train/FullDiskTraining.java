package io.engram4j.train;

import io.engram4j.model.TokenMap;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.EngramForm;
import io.engram4j.train.model.EngramMemory;
import io.engram4j.train.table.RowFormat;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Arrays;
import java.util.List;

/**
 * A process that trains in a small file system, of which it leaves more and more bytes free, until
 * a checkpoint finds room: each time before the checkpoint fails at another place. Then it makes
 * room and goes on, or begins again from the last checkpoint; both must end at the same bits.
 */
final class FullDiskTraining {
  private static final int BEFORE = 1; // steps to a checkpoint that succeeds
  private static final int FULL = 4; // to one for which there may be no room
  private static final int ALL = 6;
  private static final int PAGE = 4096;
  private static final EngramMemory MEMORY =
      SmallModels.memory(
          TrainerTest.SHAPE, EngramForm.PAPER, TokenMap.identity(60), List.of(0, 1), 2000);

  private final Path directory;

  private FullDiskTraining(Path directory) {
    this.directory = directory;
  }

  public static void main(String[] args) throws IOException {
    Path mount = Path.of(args[0]);
    FullDiskTraining once = new FullDiskTraining(mount.resolve("whole"));
    byte[][] expected = once.whole();
    once.delete();
    int refused = 0;
    boolean room = false;
    for (long free = 0; !room; free += 6 * PAGE) {
      FullDiskTraining some = new FullDiskTraining(mount.resolve("some"));
      boolean again = free / PAGE % 12 == 0;
      room = some.filled(mount.resolve("ballast"), free, again);
      refused += room ? 0 : 1;
      byte[][] state = some.state();
      if (!Arrays.deepEquals(expected, state)) {
        throw new IllegalStateException("other bits after " + free + " bytes were free");
      }
      some.delete();
    }
    if (refused < 20) {
      throw new IllegalStateException("only " + refused + " checkpoints found no room");
    }
    System.out.println(refused + " checkpoints found no room, and nothing was lost");
  }

  private Decoder decoder(long step) throws IOException {
    return SmallModels.inFiles(TrainerTest.SHAPE, MEMORY, RowFormat.F32, directory, step);
  }

  private static void train(Trainer trainer, int to) {
    while (trainer.stepsDone() < to) {
      trainer.step();
    }
  }

  private byte[][] whole() throws IOException {
    Files.createDirectory(directory);
    try (Decoder decoder = decoder(-1);
        Trainer trainer = new Trainer(decoder, TrainerTest.data(), TrainerTest.options())) {
      train(trainer, ALL);
      trainer.checkpoint(directory);
    }
    return state();
  }

  /** Returns whether there was room. */
  private boolean filled(Path ballast, long free, boolean again) throws IOException {
    Files.createDirectory(directory);
    boolean room = true;
    try (Decoder decoder = decoder(-1);
        Trainer trainer = new Trainer(decoder, TrainerTest.data(), TrainerTest.options())) {
      train(trainer, BEFORE);
      trainer.checkpoint(directory);
      train(trainer, FULL);
      fill(ballast, free);
      try {
        trainer.checkpoint(directory);
      } catch (IOException e) {
        if (!String.valueOf(e.getMessage()).contains("No space left")) {
          throw e;
        }
        room = false;
        long last = Trainer.lastStep(directory);
        if (last != BEFORE) {
          throw new IllegalStateException("step " + last + " counts, not " + BEFORE);
        }
      }
      Files.delete(ballast);
      if (!again) {
        train(trainer, ALL);
        trainer.checkpoint(directory);
      }
    }
    if (again) {
      long last = Trainer.lastStep(directory);
      try (Decoder decoder = decoder(last);
          Trainer trainer =
              Trainer.resume(directory, decoder, TrainerTest.data(), TrainerTest.options())) {
        train(trainer, ALL);
        trainer.checkpoint(directory);
      }
    }
    return room;
  }

  /** Takes all that is left but some bytes. */
  private static void fill(Path ballast, long free) throws IOException {
    byte[] page = new byte[PAGE];
    try (OutputStream out = Files.newOutputStream(ballast)) {
      long left = Files.getFileStore(ballast).getUsableSpace() - free;
      for (long i = 0; i < left / PAGE; i++) {
        out.write(page);
      }
    }
  }

  private byte[][] state() throws IOException {
    return new byte[][] {
      Files.readAllBytes(directory.resolve("dense-" + ALL + ".safetensors")),
      Files.readAllBytes(directory.resolve("rows-0.bin")),
      Files.readAllBytes(directory.resolve("rows-1.bin"))
    };
  }

  private void delete() throws IOException {
    Files.walkFileTree(
        directory,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes any) throws IOException {
            Files.delete(file);
            return FileVisitResult.CONTINUE;
          }
        });
    Files.delete(directory);
  }
}

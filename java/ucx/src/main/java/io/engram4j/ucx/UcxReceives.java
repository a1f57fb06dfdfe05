package io.engram4j.ucx;

import io.engram4j.host.Buffer;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BiConsumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Messages whose payload is fetched from the other side's memory, until all of it is here. Used
 * under the worker's lock.
 */
final class UcxReceives {
  private static final Logger log = LoggerFactory.getLogger(UcxReceives.class);

  private final UcxContext context;
  private final List<Receiving> receiving = new ArrayList<>();

  /** A message on its way: head and payload lie one after the other. */
  private record Receiving(UcxLink link, long request, Buffer memory, long bytes) {}

  UcxReceives(UcxContext context) {
    this.context = context;
  }

  boolean isEmpty() {
    return receiving.isEmpty();
  }

  /** Begins to fetch a payload. */
  void begin(UcxLink link, MemorySegment head, MemorySegment descriptor, long bytes)
      throws IOException {
    if (bytes > UcxLayouts.MOST_BYTES) {
      throw new IOException("a message of " + bytes + " bytes");
    }
    Buffer memory = new Buffer();
    try {
      MemorySegment all = memory.reserve(head.byteSize() + bytes);
      MemorySegment.copy(head, 0, all, 0, head.byteSize());
      long request = context.fetch(descriptor, all.asSlice(head.byteSize(), bytes));
      receiving.add(new Receiving(link, request, memory, bytes));
    } catch (Throwable e) {
      memory.close();
      throw e;
    }
  }

  /**
   * Hands on what has come whole.
   *
   * @param failed hears of a link whose message cannot be taken
   */
  void deliver(BiConsumer<UcxLink, IOException> failed) {
    for (int i = 0; i < receiving.size(); ) {
      Receiving one = receiving.get(i);
      if (one.request() == 0 || context.isDone(one.request())) {
        receiving.remove(i);
        deliver(one, failed);
      } else {
        i++;
      }
    }
  }

  private static void deliver(Receiving one, BiConsumer<UcxLink, IOException> failed) {
    try (Buffer memory = one.memory()) {
      if (!one.link().isBroken()) {
        long heads = memory.get().byteSize() - one.bytes();
        MemorySegment all = memory.get();
        one.link().received(all.asSlice(0, heads), all.asSlice(heads, one.bytes()));
      }
    } catch (IOException e) {
      failed.accept(one.link(), e);
    } catch (RuntimeException | Error e) {
      log.warn("a message cannot be taken", e);
      failed.accept(one.link(), new IOException(e.toString(), e));
    }
  }
}

package io.engram4j.cuda;

import io.engram4j.host.Limits;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Memory of the host that a device reads in place. Whole pages are registered, each only once, so
 * tensors that share a page, such as neighbours in a file, are registered as one range.
 */
final class PinnedRanges {
  private static final Logger log = LoggerFactory.getLogger(PinnedRanges.class);
  private static final long PAGE = 4096;

  private final List<Range> ranges;

  /**
   * Some pages.
   *
   * @param begin address of the first
   * @param end address behind the last
   * @param address under which the device reads the first, or 0 if it cannot
   * @param reason why it cannot, or null
   */
  private record Range(
      long begin, long end, boolean readOnly, long address, @Nullable String reason) {
    static Range of(MemorySegment segment) {
      long begin = segment.address() / PAGE * PAGE;
      long end = (segment.address() + segment.byteSize() + PAGE - 1) / PAGE * PAGE;
      return new Range(begin, end, segment.isReadOnly(), 0, null);
    }

    Range and(Range other) {
      return new Range(begin, Math.max(end, other.end), readOnly || other.readOnly, 0, null);
    }

    Range refused(String why) {
      return new Range(begin, end, readOnly, 0, why);
    }

    Range registered(DeviceMemory memory) {
      try {
        long seen = memory.register(begin, end - begin, readOnly).address();
        return new Range(begin, end, readOnly, seen, null);
      } catch (CudaException e) {
        log.warn("{} bytes of a table cannot be registered: {}", end - begin, e.getMessage());
        return refused(String.valueOf(e.getMessage()));
      }
    }
  }

  private PinnedRanges(List<Range> ranges) {
    this.ranges = ranges;
  }

  /**
   * Registers segments of off-heap memory until the device's memory is closed.
   *
   * @param together those of a table, which are of no use without each other: if one is refused,
   *     the others are let go, as registered memory is locked
   */
  static PinnedRanges register(List<List<MemorySegment>> together, DeviceMemory memory) {
    List<Range> merged = new ArrayList<>();
    together.stream()
        .flatMap(List::stream)
        .map(Range::of)
        .sorted(Comparator.comparingLong(Range::begin))
        .forEach(range -> {
          Range last = merged.isEmpty() ? null : merged.getLast();
          if (last != null && range.begin() < last.end()) {
            merged.set(merged.size() - 1, last.and(range));
          } else {
            merged.add(range);
          }
        });
    String tooMuch = tooMuch(merged);
    PinnedRanges made =
        new PinnedRanges(
            merged.stream()
                .map(range -> tooMuch == null ? range.registered(memory) : range.refused(tooMuch))
                .toList());
    return made.withoutUseless(together, memory);
  }

  private PinnedRanges withoutUseless(List<List<MemorySegment>> together, DeviceMemory memory) {
    Set<Range> used = new HashSet<>();
    Map<Range, String> useless = new HashMap<>();
    for (List<MemorySegment> table : together) {
      String reason = problem(table);
      for (MemorySegment segment : table) {
        if (reason == null) {
          used.add(around(segment));
        } else {
          useless.put(around(segment), reason);
        }
      }
    }
    List<Range> left = new ArrayList<>();
    for (Range range : ranges) {
      String reason = used.contains(range) ? null : useless.get(range);
      if (range.reason() == null && reason != null) {
        memory.unregister(range.begin());
        left.add(range.refused(reason));
      } else {
        left.add(range);
      }
    }
    return new PinnedRanges(left);
  }

  /** A mapped file may be larger than memory, and registering it would lock every page of it. */
  private static @Nullable String tooMuch(List<Range> ranges) {
    long wanted = ranges.stream().mapToLong(range -> range.end() - range.begin()).sum();
    long most = Limits.totalMemory() / 10 * 9;
    return wanted <= most
        ? null
        : "tables of " + wanted + " bytes would be locked, but memory allows " + most;
  }

  private Range around(MemorySegment segment) {
    for (Range range : ranges) {
      if (segment.address() >= range.begin() && segment.address() < range.end()) {
        return range;
      }
    }
    throw new IllegalArgumentException("the segment was not registered");
  }

  /** Returns why the device cannot read segments in place, or null if it can read all of them. */
  @Nullable String problem(List<MemorySegment> segments) {
    for (MemorySegment segment : segments) {
      String reason = around(segment).reason();
      if (reason != null) {
        return reason;
      }
    }
    return null;
  }

  /** Returns where the device reads a segment. */
  MemorySegment address(MemorySegment segment) {
    Range range = around(segment);
    return MemorySegment.ofAddress(range.address() + (segment.address() - range.begin()));
  }
}

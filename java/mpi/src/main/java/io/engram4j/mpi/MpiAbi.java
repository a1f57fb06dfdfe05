package io.engram4j.mpi;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.util.Map;

/** How a library hands out what MPI calls opaque: the standard leaves it to each before MPI 5. */
@SuppressWarnings("ImmutableEnumChecker") // layouts are, which their type does not say
enum MpiAbi {
  /** Open MPI: addresses of objects of the library. */
  OPEN_MPI("libmpi.so.40", "OMPI_COMM_WORLD_SIZE", ValueLayout.ADDRESS) {
    @Override
    Object handle(SymbolLookup library, String open, int mpich) {
      return library
          .find(open)
          .orElseThrow(() -> new IllegalStateException("the library has no " + open));
    }
  },

  /** MPICH and those that keep to its interface, such as Intel's and Cray's: numbers. */
  MPICH("libmpich.so.12", "PMI_SIZE", ValueLayout.JAVA_INT) {
    @Override
    Object handle(SymbolLookup library, String open, int mpich) {
      return mpich;
    }
  };

  private final String file;
  private final String launched;
  private final MemoryLayout layout;

  MpiAbi(String file, String launched, MemoryLayout layout) {
    this.file = file;
    this.launched = launched;
    this.layout = layout;
  }

  /** Returns the file that its library usually has. */
  String file() {
    return file;
  }

  /** Returns whether its launcher started this process. */
  boolean isLaunched(Map<String, String> environment) {
    return environment.containsKey(launched);
  }

  /** Returns how a handle is passed. */
  MemoryLayout layout() {
    return layout;
  }

  /**
   * Returns a predefined handle.
   *
   * @param open its object's name in Open MPI
   * @param mpich its number in MPICH
   */
  abstract Object handle(SymbolLookup library, String open, int mpich);
}

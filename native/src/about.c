/* What the library says of itself: its version, its builder, statuses and types. */
#include "kernels.h"

#define STRINGIFY_(x) #x
#define STRINGIFY(x) STRINGIFY_(x)

int engram_abi(void) {
  return ENGRAM_ABI;
}

const char *engram_status_text(int status) {
  switch (status) {
    case ENGRAM_OK:
      return "ok";
    case ENGRAM_ERROR_ARGUMENT:
      return "an argument is null, negative or out of range";
    case ENGRAM_ERROR_STRUCT:
      return "a struct has not the size that this library was built with";
    case ENGRAM_ERROR_ROW:
      return "a row id is outside the table";
    case ENGRAM_ERROR_TIER:
      return "this CPU or this build does not have the tier";
    case ENGRAM_ERROR_MEMORY:
      return "a page of a mapped file cannot be had: it became shorter, or its disk failed";
    default:
      return "unknown status";
  }
}

const char *engram_build_info(void) {
#if defined(__clang__)
  return "clang " STRINGIFY(__clang_major__) "." STRINGIFY(__clang_minor__);
#elif defined(__GNUC__)
  return "gcc " STRINGIFY(__GNUC__) "." STRINGIFY(__GNUC_MINOR__);
#else
  return "unknown compiler";
#endif
}

#define NAME(name, elements, bytes, scales, size, bias, exact, weight) \
  case ENGRAM_##name:                                                  \
    return #name;
static const char *row_type_name(int type) {
  switch (type) {
    ENGRAM_ROW_TYPES(NAME)
    default:
      return NULL;
  }
}

int engram_describe_row_type(int type, struct engram_row_type *about) {
  if (!about || !engram_is_row_type(type)) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  if (about->struct_size != sizeof *about) {
    return ENGRAM_ERROR_STRUCT;
  }
  about->block_elements = engram_row_block_elements(type);
  about->block_bytes = engram_row_block_bytes(type);
  about->scales = engram_row_scales(type);
  about->scale_bytes = engram_row_block_scale_bytes(type);
  about->exact_in_bf16 = engram_row_is_exact(type);
  about->weight = engram_row_is_weight(type);
  about->bias_bytes = engram_row_block_bias_bytes(type);
  about->name = row_type_name(type);
  return ENGRAM_OK;
}

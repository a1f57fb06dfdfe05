#include "runtime.h"

long long engram_cuda_shim_count(int what) {
  shim_guard guard(shim().lock);
  switch (what) {
    case SHIM_STREAMS: {
      long long streams = 0;
      for (auto &each : shim().streams) {
        streams += each.first != NULL; /* all but the default stream */
      }
      return streams;
    }
    case SHIM_DEVICE_ALLOCATIONS:
      return (long long)shim().device.size();
    case SHIM_HOST_ALLOCATIONS:
      return (long long)shim().host.size();
    case SHIM_REGISTRATIONS:
      return (long long)shim().registered.size();
    default:
      return what >= 0 && what < SHIM_COUNTS ? shim().counts[what] : -1;
  }
}

void engram_cuda_shim_fail(long long after, int error, int from_then_on) {
  shim_guard guard(shim().lock);
  shim().fail_after = after;
  shim().fail_with = error;
  shim().fail_on = from_then_on != 0;
}

void engram_cuda_shim_reset(void) {
  shim_guard guard(shim().lock);
  shim().streams.clear();
  shim().registered.clear();
  while (!shim().device.empty()) {
    shim_release(shim().device, shim().device.begin()->first);
  }
  while (!shim().host.empty()) {
    shim_release(shim().host, shim().host.begin()->first);
  }
  shim().counts[SHIM_EVENTS] = 0;
}

/*
 * Memory, streams, events and errors in the shim: that streams are lazy, so that a wait that is
 * missing shows; that nothing is left after many rounds, nor after a call that failed half-way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../include/engram_cuda.h"
#include "../shim/shim.h"

static int failures;

static void expect(int condition, const char *what) {
  if (!condition) {
    fprintf(stderr, "FAILED: %s (%s)\n", what, engram_cuda_detail());
    failures++;
  }
}

static void waits_are_needed(void) {
  void *memory = NULL;
  void *side = NULL;
  void *main_stream = NULL;
  void *event = NULL;
  unsigned char seen[2] = {9, 9};
  expect(engram_cuda_allocate(0, 100, &memory) == ENGRAM_OK, "allocate");
  expect(engram_cuda_stream_create(0, &side) == ENGRAM_OK, "side stream");
  expect(engram_cuda_stream_create(0, &main_stream) == ENGRAM_OK, "main stream");
  expect(engram_cuda_event_create(0, &event) == ENGRAM_OK, "event");
  struct engram_cuda_queue on_side = {sizeof on_side, 0, side, 0, 0};
  struct engram_cuda_queue on_main = {sizeof on_main, 0, main_stream, 0, 0};
  memset(memory, 1, 100);
  expect(engram_cuda_fill(&on_side, memory, 7, 100) == ENGRAM_OK, "fill");
  expect(engram_cuda_event_record(&on_side, event) == ENGRAM_OK, "record");
  expect(engram_cuda_copy(&on_main, &seen[0], memory, 1) == ENGRAM_OK, "copy too early");
  expect(engram_cuda_event_wait(&on_main, event) == ENGRAM_OK, "wait");
  expect(engram_cuda_copy(&on_main, &seen[1], memory, 1) == ENGRAM_OK, "copy in time");
  expect(engram_cuda_synchronize(0, main_stream) == ENGRAM_OK, "synchronize");
  expect(seen[0] == 1 && seen[1] == 7, "a wait that is missing shows");
  long long waits = engram_cuda_shim_count(SHIM_WAIT);
  expect(engram_cuda_event_synchronize(0, event) == ENGRAM_OK, "wait for what is done");
  expect(engram_cuda_shim_count(SHIM_WAIT) == waits, "which is no wait");
  expect(engram_cuda_event_destroy(0, event) == ENGRAM_OK, "destroy event");
  expect(engram_cuda_stream_destroy(0, side) == ENGRAM_OK, "destroy stream");
  expect(engram_cuda_stream_destroy(0, main_stream) == ENGRAM_OK, "destroy stream");
  expect(engram_cuda_free(0, memory) == ENGRAM_OK, "free");
}

static void registrations(void) {
  char *host = aligned_alloc(4096, 4 * 4096);
  void *address = NULL;
  void *other = NULL;
  expect(engram_cuda_register(0, host + 100, 5000, 1, &address) == ENGRAM_OK, "register");
  expect((char *)address == host + 100, "the place within the page");
  expect(engram_cuda_register(0, host + 6000, 10, 1, &other) == ENGRAM_CUDA_ERROR_CUDA,
         "a page twice");
  expect(strstr(engram_cuda_detail(), "already mapped") != NULL, "with its reason");
  expect(engram_cuda_register(0, host + 8192, 10, 0, &other) == ENGRAM_OK, "the next page");
  expect(engram_cuda_registered(0, host + 8200, &address) == ENGRAM_OK, "where it is registered");
  expect((char *)address == host + 8200, "where it is registered");
  expect(engram_cuda_registered(0, host + 3 * 4096, &address) != ENGRAM_OK, "where it is not");
  expect(engram_cuda_unregister(0, host + 100, 5000) == ENGRAM_OK, "unregister");
  expect(engram_cuda_unregister(0, host + 8192, 10) == ENGRAM_OK, "unregister");
  expect(engram_cuda_unregister(0, host, 10) == ENGRAM_CUDA_ERROR_CUDA, "unregister twice");
  free(host);
  /* in chunks of 64 GiB, of which the last is refused; nobody touches the memory */
  char *much = (char *)(1LL << 40);
  for (int chunk = 0; chunk < 4; chunk++) {
    engram_cuda_shim_fail(2 + 2 * chunk, 2, 0);
    expect(engram_cuda_register(0, much, 200LL << 30, 0, &address) == ENGRAM_CUDA_ERROR_CUDA,
           "a chunk is refused");
    expect(strstr(engram_cuda_detail(), "out of memory") != NULL, "with its reason");
    expect(engram_cuda_shim_count(SHIM_REGISTRATIONS) == 0, "those before are taken back");
  }
  engram_cuda_shim_fail(-1, 0, 0);
  expect(engram_cuda_register(0, much, 200LL << 30, 0, &address) == ENGRAM_OK, "200 GiB");
  expect(engram_cuda_shim_count(SHIM_REGISTRATIONS) == 4, "in four chunks");
  expect(engram_cuda_unregister(0, much, 200LL << 30) == ENGRAM_OK, "unregister");
}

static void rounds(int count) {
  for (int i = 0; i < count; i++) {
    void *device = NULL;
    void *host = NULL;
    void *stream = NULL;
    void *event = NULL;
    expect(engram_cuda_allocate(0, 1000, &device) == ENGRAM_OK, "allocate");
    expect(engram_cuda_allocate_host(0, 1000, &host) == ENGRAM_OK, "allocate pinned");
    expect(engram_cuda_stream_create(0, &stream) == ENGRAM_OK, "stream");
    expect(engram_cuda_event_create(0, &event) == ENGRAM_OK, "event");
    struct engram_cuda_queue on = {sizeof on, 0, stream, 0, 0};
    expect(engram_cuda_copy(&on, device, host, 1000) == ENGRAM_OK, "copy");
    expect(engram_cuda_event_record(&on, event) == ENGRAM_OK, "record");
    expect(engram_cuda_event_synchronize(0, event) == ENGRAM_OK, "freeing waits for nothing");
    expect(engram_cuda_free(0, device) == ENGRAM_OK, "free");
    expect(engram_cuda_free_host(0, host) == ENGRAM_OK, "free pinned");
    expect(engram_cuda_event_destroy(0, event) == ENGRAM_OK, "destroy event");
    expect(engram_cuda_stream_destroy(0, stream) == ENGRAM_OK, "destroy stream");
  }
  expect(engram_cuda_shim_count(SHIM_DEVICE_ALLOCATIONS) == 0, "no device memory is left");
  expect(engram_cuda_shim_count(SHIM_HOST_ALLOCATIONS) == 0, "no pinned memory is left");
  expect(engram_cuda_shim_count(SHIM_STREAMS) == 0, "no stream is left");
  expect(engram_cuda_shim_count(SHIM_EVENTS) == 0, "no event is left");
}

static void errors(void) {
  long long bytes = 0;
  void *memory = NULL;
  struct engram_cuda_device about = {.struct_size = sizeof about};
  expect(engram_cuda_describe(0, &about) == ENGRAM_OK && about.processors > 0, "describe");
  about.struct_size--;
  expect(engram_cuda_describe(0, &about) == ENGRAM_ERROR_STRUCT, "another struct");
  expect(engram_cuda_free_memory(0, &bytes) == ENGRAM_OK && bytes > 0, "free memory");
  expect(engram_cuda_allocate(0, bytes + 1, &memory) == ENGRAM_CUDA_ERROR_CUDA, "too much");
  expect(strstr(engram_cuda_detail(), "out of memory") != NULL, "too much, with its reason");
  expect(engram_cuda_allocate(99, 10, &memory) == ENGRAM_CUDA_ERROR_CUDA, "no such device");
  expect(engram_cuda_allocate(0, 0, &memory) == ENGRAM_ERROR_ARGUMENT, "no bytes");
  expect(engram_cuda_free(0, &bytes) == ENGRAM_CUDA_ERROR_CUDA, "memory of somebody else");
  struct engram_cuda_queue on = {sizeof on, 0, NULL, -1, 0};
  expect(engram_cuda_fill(&on, &bytes, 0, 8) == ENGRAM_ERROR_ARGUMENT, "negative blocks");
  on.struct_size++;
  expect(engram_cuda_fill(&on, &bytes, 0, 8) == ENGRAM_ERROR_STRUCT, "another struct");
  expect(engram_cuda_fill(NULL, &bytes, 0, 8) == ENGRAM_ERROR_ARGUMENT, "no queue");
}

int main(void) {
  waits_are_needed();
  registrations();
  rounds(1000);
  errors();
  printf("%d failed\n", failures);
  return failures == 0 ? 0 : 1;
}

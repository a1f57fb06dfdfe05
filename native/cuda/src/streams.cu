/* Streams, events and copies of the interface. Compiled by nvcc, or with the shim by a C++
 * compiler.
 */
#include "status.cuh"

int engram_cuda_stream_create(int device, void **stream) {
  engram_beside_captures guard;
  if (!stream) {
    return engram_wrong_argument("the place for the stream is null");
  }
  int status = engram_enter_device(device);
  cudaStream_t made = NULL;
  if (status == ENGRAM_OK) {
    status = engram_cuda_status(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking),
                                "creating a stream");
  }
  *stream = made;
  return status;
}

int engram_cuda_stream_destroy(int device, void *stream) {
  engram_beside_captures guard;
  int status = engram_enter_device(device);
  return status != ENGRAM_OK
             ? status
             : engram_cuda_status(cudaStreamDestroy((cudaStream_t)stream), "destroying a stream");
}

int engram_cuda_synchronize(int device, void *stream) {
  int status = engram_enter_device(device);
  return status != ENGRAM_OK ? status
                             : engram_cuda_status(cudaStreamSynchronize((cudaStream_t)stream),
                                                  "waiting for the stream");
}

int engram_cuda_event_create(int device, void **event) {
  engram_beside_captures guard;
  if (!event) {
    return engram_wrong_argument("the place for the event is null");
  }
  int status = engram_enter_device(device);
  cudaEvent_t made = NULL;
  if (status == ENGRAM_OK) {
    status = engram_cuda_status(cudaEventCreateWithFlags(&made, cudaEventDisableTiming),
                                "creating an event");
  }
  *event = made;
  return status;
}

int engram_cuda_event_destroy(int device, void *event) {
  engram_beside_captures guard;
  int status = engram_enter_device(device);
  return status != ENGRAM_OK
             ? status
             : engram_cuda_status(cudaEventDestroy((cudaEvent_t)event), "destroying an event");
}

int engram_cuda_event_record(const struct engram_cuda_queue *on, void *event) {
  int status = engram_enter_queue(on);
  return status != ENGRAM_OK
             ? status
             : engram_cuda_status(cudaEventRecord((cudaEvent_t)event, (cudaStream_t)on->stream),
                                  "recording an event");
}

int engram_cuda_event_wait(const struct engram_cuda_queue *on, void *event) {
  int status = engram_enter_queue(on);
  return status != ENGRAM_OK ? status
                             : engram_cuda_status(cudaStreamWaitEvent((cudaStream_t)on->stream,
                                                                      (cudaEvent_t)event, 0),
                                                  "letting a stream wait for an event");
}

int engram_cuda_event_synchronize(int device, void *event) {
  int status = engram_enter_device(device);
  return status != ENGRAM_OK
             ? status
             : engram_cuda_status(cudaEventSynchronize((cudaEvent_t)event), "waiting for an event");
}

int engram_cuda_copy(const struct engram_cuda_queue *on, void *to, const void *from,
                     long long bytes) {
  if (bytes < 0 || (bytes > 0 && (!to || !from))) {
    return engram_wrong_argument("copy: memory is null or bytes are negative");
  }
  int status = engram_enter_queue(on);
  return status != ENGRAM_OK || bytes == 0
             ? status
             : engram_cuda_status(cudaMemcpyAsync(to, from, (size_t)bytes, cudaMemcpyDefault,
                                                  (cudaStream_t)on->stream),
                                  "copying");
}

int engram_cuda_fill(const struct engram_cuda_queue *on, void *to, int byte, long long bytes) {
  if (bytes < 0 || (bytes > 0 && !to)) {
    return engram_wrong_argument("fill: memory is null or bytes are negative");
  }
  int status = engram_enter_queue(on);
  return status != ENGRAM_OK || bytes == 0
             ? status
             : engram_cuda_status(
                   cudaMemsetAsync(to, byte, (size_t)bytes, (cudaStream_t)on->stream), "filling");
}

/* A producer in C: `producer_c INSTANCE FRAMES` commits so many frames of a detector that this program plays itself.
 * cc producer.c -lpeaknet_shm; peaknet_shm.h is the contract. */
#include <peaknet_shm.h>
#include <stdio.h>
#include <stdlib.h>

static long frames_left;

static int detector_next(void) { return frames_left-- > 0; }

/* Spots of 1 x 2 pixels on a dark ground, in any geometry. */
static void detector_read_into(void* image, uint64_t bytes) {
  uint16_t* pixels = image;
  const uint64_t count = bytes / sizeof *pixels;
  for (uint64_t i = 0; i < count; ++i) pixels[i] = 10;
  for (uint64_t at = 1000; at + 1 < count; at += 3000) pixels[at] = pixels[at + 1] = 2000;
}

static uint64_t detector_event(void) { return 1000 + (uint64_t)frames_left; }

static void log_text(const char* text) { fprintf(stderr, "%s\n", text); }

int main(int count, char** arguments) {
  if (count != 3) return log_text("usage: producer_c INSTANCE FRAMES"), 2;
  const char* instance = arguments[1];
  frames_left = strtol(arguments[2], NULL, 10);

  peaknet_producer* producer;
  peaknet_geometry pool;
  if (peaknet_producer_attach(instance, "my detector", PEAKNET_POOL_POLICY, &producer) != PEAKNET_OK)
    return log_text(peaknet_last_error()), 1;
  while (detector_next()) {
    peaknet_frame* frame;
    if (peaknet_claim(producer, 1000000000, &frame) != PEAKNET_OK) continue;
    peaknet_producer_geometry(producer, &pool);
    detector_read_into(peaknet_frame_image(frame), pool.image_bytes);
    peaknet_frame_info(frame)->event_id = detector_event();
    if (peaknet_commit(frame, NULL) != PEAKNET_OK) log_text(peaknet_last_error());
  }
  peaknet_producer_detach(producer);
  return 0;
}

/* `columns_producer INSTANCE FRAMES FIRST`: commits frames whose events are numbered from FIRST on, with three spots
 * each, and with the columns that columns_check.py expects of an event of that number. */
#include <peaknet_shm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CODES = 256, SAMPLES = 2048 };

static int failed(const char* what) {
  fprintf(stderr, "%s: %s\n", what, peaknet_last_error());
  return 1;
}

static int set_columns(peaknet_frame* frame, uint64_t event) {
  uint8_t codes[CODES];
  float spectrum[SAMPLES];
  const uint8_t laser = (uint8_t)(event % 2);
  for (uint64_t i = 0; i < CODES; ++i) codes[i] = (uint8_t)((event * 7 + i) % 3 == 0);
  for (uint64_t i = 0; i < SAMPLES; ++i) {
    const uint32_t bits = (uint32_t)(0x3f800000U + event * 4096 + i); /* of floats from 1 on */
    memcpy(&spectrum[i], &bits, sizeof bits);
  }
  if (peaknet_frame_set(frame, "event_codes", PEAKNET_COLUMN_UINT8, codes, CODES) != PEAKNET_OK ||
      peaknet_frame_set(frame, "spectrum", PEAKNET_COLUMN_FLOAT32, spectrum, SAMPLES) != PEAKNET_OK)
    return failed("arrays");
  if (event / 4 % 4 == 3) return 0; /* the laser's state is not known */
  if (peaknet_frame_set(frame, "laser_on", PEAKNET_COLUMN_UINT8, &laser, 1) != PEAKNET_OK) return failed("laser_on");
  return 0;
}

int main(int count, char** arguments) {
  peaknet_producer* producer;
  peaknet_frame* frame;
  peaknet_geometry pool;
  if (count != 4) return 2;
  const uint64_t frames = strtoull(arguments[2], NULL, 10), first = strtoull(arguments[3], NULL, 10);
  if (peaknet_producer_attach(arguments[1], "columns", PEAKNET_POOL_POLICY, &producer) != PEAKNET_OK)
    return failed("attach");
  for (uint64_t event = first; event < first + frames; ++event) {
    if (peaknet_claim(producer, 30000000000LL, &frame) != PEAKNET_OK) return failed("claim");
    peaknet_producer_geometry(producer, &pool);
    uint16_t* const pixels = peaknet_frame_image(frame);
    memset(pixels, 0, pool.image_bytes);
    for (uint32_t spot = 20; spot < 120; spot += 40) pixels[spot * pool.width + spot] = 1024;
    peaknet_frame_info(frame)->event_id = event;
    if (set_columns(frame, event) != 0) return 1;
    if (peaknet_frame_set(frame, "lasr_on", PEAKNET_COLUMN_UINT8, pixels, 1) != PEAKNET_E_COLUMN ||
        strstr(peaknet_last_error(), "laser_on") == NULL)
      return failed("a name that there is not");
    if (peaknet_commit(frame, NULL) != PEAKNET_OK) return failed("commit");
  }
  peaknet_producer_detach(producer);
  return 0;
}

/* Prints what programs compiled against peaknet_shm.h rely on: sizes, offsets and numbers. C99, as a user would have
 * it. */
#include <stddef.h>
#include <stdio.h>

#include "peaknet_shm.h"

#define STRUCT(type) printf("struct %s %zu\n", #type, sizeof(type))
#define FIELD(type, field) \
  printf("field %s.%s %zu %zu\n", #type, #field, offsetof(type, field), sizeof(((type*)0)->field))
#define NUMBER(name) printf("number %s %d\n", #name, (int)(name))

static void structs(void) {
  STRUCT(peaknet_geometry);
  FIELD(peaknet_geometry, slots);
  FIELD(peaknet_geometry, panels);
  FIELD(peaknet_geometry, height);
  FIELD(peaknet_geometry, width);
  FIELD(peaknet_geometry, pixel_type);
  FIELD(peaknet_geometry, mask_words_per_row);
  FIELD(peaknet_geometry, image_bytes);
  FIELD(peaknet_geometry, mask_bytes);
  STRUCT(peaknet_info);
  FIELD(peaknet_info, event_id);
  FIELD(peaknet_info, timestamp);
  FIELD(peaknet_info, photon_energy_ev);
  FIELD(peaknet_info, encoder_value);
  FIELD(peaknet_info, source_run);
  FIELD(peaknet_info, flags);
  FIELD(peaknet_info, original_height);
  FIELD(peaknet_info, original_width);
  FIELD(peaknet_info, pad_top);
  FIELD(peaknet_info, pad_left);
  FIELD(peaknet_info, fiducial);
  FIELD(peaknet_info, user);
  STRUCT(peaknet_column);
  FIELD(peaknet_column, name);
  FIELD(peaknet_column, dataset);
  FIELD(peaknet_column, unit);
  FIELD(peaknet_column, type);
  FIELD(peaknet_column, length);
  FIELD(peaknet_column, unknown);
  STRUCT(peaknet_descriptor);
  FIELD(peaknet_descriptor, info);
  FIELD(peaknet_descriptor, run);
  FIELD(peaknet_descriptor, producer);
  FIELD(peaknet_descriptor, producer_seq);
  FIELD(peaknet_descriptor, sequence);
  FIELD(peaknet_descriptor, last_writer);
  FIELD(peaknet_descriptor, attempts);
  FIELD(peaknet_descriptor, result);
  FIELD(peaknet_descriptor, state);
  FIELD(peaknet_descriptor, pixel_type);
  FIELD(peaknet_descriptor, panels);
  FIELD(peaknet_descriptor, height);
  FIELD(peaknet_descriptor, width);
  FIELD(peaknet_descriptor, reserved);
  FIELD(peaknet_descriptor, claim_ns);
  FIELD(peaknet_descriptor, commit_ns);
  FIELD(peaknet_descriptor, take_ns);
  FIELD(peaknet_descriptor, done_ns);
}

static void numbers(void) {
  NUMBER(PEAKNET_ABI);
  NUMBER(PEAKNET_OK);
  NUMBER(PEAKNET_NOTHING);
  NUMBER(PEAKNET_CLOSE);
  NUMBER(PEAKNET_E_ARGUMENT);
  NUMBER(PEAKNET_E_MEMORY);
  NUMBER(PEAKNET_E_ABSENT);
  NUMBER(PEAKNET_E_DENIED);
  NUMBER(PEAKNET_E_VERSION);
  NUMBER(PEAKNET_E_DAMAGED);
  NUMBER(PEAKNET_E_NO_POOL);
  NUMBER(PEAKNET_E_MEMBERS_FULL);
  NUMBER(PEAKNET_E_NAME);
  NUMBER(PEAKNET_E_POOL_FULL);
  NUMBER(PEAKNET_E_REMOVED);
  NUMBER(PEAKNET_E_FORKED);
  NUMBER(PEAKNET_E_LOST);
  NUMBER(PEAKNET_E_BAD_DESCRIPTOR);
  NUMBER(PEAKNET_E_SHAPE);
  NUMBER(PEAKNET_E_COLUMN);
  NUMBER(PEAKNET_E_OVERRUN);
  NUMBER(PEAKNET_E_OTHER);
  NUMBER(PEAKNET_COLUMN_UINT8);
  NUMBER(PEAKNET_COLUMN_INT8);
  NUMBER(PEAKNET_COLUMN_UINT16);
  NUMBER(PEAKNET_COLUMN_INT16);
  NUMBER(PEAKNET_COLUMN_UINT32);
  NUMBER(PEAKNET_COLUMN_INT32);
  NUMBER(PEAKNET_COLUMN_UINT64);
  NUMBER(PEAKNET_COLUMN_INT64);
  NUMBER(PEAKNET_COLUMN_FLOAT32);
  NUMBER(PEAKNET_COLUMN_FLOAT64);
  NUMBER(PEAKNET_UINT16);
  NUMBER(PEAKNET_INT16);
  NUMBER(PEAKNET_FLOAT32);
  NUMBER(PEAKNET_NO_RESULT);
  NUMBER(PEAKNET_MASK);
  NUMBER(PEAKNET_MODEL_FAILED);
  NUMBER(PEAKNET_FREE);
  NUMBER(PEAKNET_FILLING);
  NUMBER(PEAKNET_READY);
  NUMBER(PEAKNET_INFERRING);
  NUMBER(PEAKNET_DONE);
  NUMBER(PEAKNET_WRITING);
  NUMBER(PEAKNET_QUARANTINED);
  NUMBER(PEAKNET_NO_FIDUCIAL);
  NUMBER(PEAKNET_NORMALISED);
  NUMBER(PEAKNET_POOL_POLICY);
  NUMBER(PEAKNET_BLOCK);
  NUMBER(PEAKNET_DROP_NEWEST);
  NUMBER(PEAKNET_DROP_OLDEST);
  NUMBER(PEAKNET_WRITTEN);
  NUMBER(PEAKNET_FILTERED);
  NUMBER(PEAKNET_FAILED);
  NUMBER(PEAKNET_NEWEST_FRAME);
  NUMBER(PEAKNET_NEWEST_RESULT);
}

int main(void) {
  if (peaknet_abi() != PEAKNET_ABI) return 1;
  structs();
  numbers();
  return 0;
}

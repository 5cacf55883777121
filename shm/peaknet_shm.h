/* peaknet_shm: the clients of a peaknetd instance for programs in C, and in whatever can call C.
 *
 *   peaknet_producer* producer;
 *   peaknet_frame* frame;
 *   if (peaknet_producer_attach("mfx", "my detector", PEAKNET_POOL_POLICY, &producer) != PEAKNET_OK)
 *     return fputs(peaknet_last_error(), stderr), 1;
 *   while (read_detector()) {
 *     if (peaknet_claim(producer, 1000000000, &frame) != PEAKNET_OK) continue;   // no free slot: counted as refused
 *     peaknet_copy_image(peaknet_frame_image(frame), pixels, size);              // or let the detector write there
 *     peaknet_frame_info(frame)->event_id = event;
 *     if (peaknet_commit(frame, NULL) != PEAKNET_OK) fputs(peaknet_last_error(), stderr);
 *   }
 *   peaknet_producer_detach(producer);
 *
 * Three clients: a producer fills the pool, a consumer takes results out of it (what a writer of files does), a tap
 * looks at the newest frame and touches nothing. An image is written once, into shared memory, and read there.
 *
 * Processes. Any process whose user may open the shared memory (group of pool.group) may open any number of clients,
 * 255 producers and consumers together in one instance. A client is not inherited: what a forked child has of its
 * parent's producers, consumers, frames and results is without effect there (PEAKNET_E_FORKED), and the child attaches
 * for itself; it must not write through image pointers it inherited. Taps may be used on both sides of a fork.
 *
 * Threads. A client and what came out of it are used by one thread at a time; different clients are independent, so
 * give each thread its own. No function here may be called from a signal handler.
 *
 * Death. Whoever dies, in whatever way and between whatever instructions, leaves the others going: a frame that was
 * not committed never existed, and its slot is free again within about a tenth of a second; a committed frame will be
 * processed; a result that was taken and not finished is offered to the next consumer, with attempts one higher, and is
 * set aside (counted as failed) after three consumers have died over it. A process that is stopped is not dead. While
 * peaknetd is down, producers go on until the pool is full.
 *
 * Errors. Functions return a peaknet_status. Its numbers never change their meaning; what went wrong, in words with
 * numbers and the remedy, is in peaknet_last_error(). Handles given as NULL, and only those errors a caller could have
 * avoided, are PEAKNET_E_ARGUMENT; functions that return nothing accept NULL.
 *
 * Versions. Structs and functions of one PEAKNET_ABI never change; a library with another ABI has another soname.
 */
#ifndef PEAKNET_SHM_H
#define PEAKNET_SHM_H

#include <stdint.h>

/* NOLINTBEGIN(readability-identifier-naming, modernize-*): C, with one prefix for every name */

#ifdef __cplusplus
extern "C" {
#endif

#define PEAKNET_ABI 2
#define PEAKNET_API __attribute__((visibility("default")))

/* --- status and errors ----------------------------------------------------------------------------------------- */

typedef int32_t peaknet_status;
enum {
  PEAKNET_OK = 0,
  PEAKNET_NOTHING = 1, /* the time is over, or there is nothing newer: no error, and the last error is as it was */
  PEAKNET_CLOSE = 2,   /* take: peaknetd wants finished files; see peaknet_closed. No error either */

  PEAKNET_E_ARGUMENT = 10,       /* api.argument: the call itself is wrong */
  PEAKNET_E_MEMORY = 11,         /* api.memory: this process has no memory left */
  PEAKNET_E_ABSENT = 20,         /* shm.absent: no such instance; is peaknetd running? */
  PEAKNET_E_DENIED = 21,         /* shm.denied, shm.world-writable: rights */
  PEAKNET_E_VERSION = 22,        /* directory.other-version, pool.other-version: library and peaknetd do not fit */
  PEAKNET_E_DAMAGED = 23,        /* directory.foreign, pool.foreign, pool.damaged, shm.too-small */
  PEAKNET_E_NO_POOL = 24,        /* pool.none: peaknetd has not made one yet; try again */
  PEAKNET_E_MEMBERS_FULL = 25,   /* member.full: 255 participants are attached */
  PEAKNET_E_NAME = 26,           /* instance.bad-name */
  PEAKNET_E_POOL_FULL = 30,      /* pool.full: no free slot in time; the frame counts as refused */
  PEAKNET_E_REMOVED = 31,        /* instance.removed: detach, and attach again when peaknetd runs */
  PEAKNET_E_FORKED = 32,         /* member.forked: this belongs to the parent of this process */
  PEAKNET_E_LOST = 33,           /* frame.lost: somebody wrote over the pool's state words */
  PEAKNET_E_BAD_DESCRIPTOR = 34, /* frame.bad-descriptor: what the info says does not fit the pool */
  PEAKNET_E_SHAPE = 35,          /* frame.other-shape: the pool's frames have another shape or pixel type */
  PEAKNET_E_OVERRUN = 40,        /* tap.overrun: frames pass faster than they can be copied */
  PEAKNET_E_OTHER = 99           /* see peaknet_last_error_id() */
};

/* Of the last call of this thread that failed; "" before the first. Valid until the next failing call of the thread. */
PEAKNET_API const char* peaknet_last_error(void);    /* "what; untouched. Try: remedy [id]" */
PEAKNET_API const char* peaknet_last_error_id(void); /* stable, "pool.full": the same as in logs and documentation */

PEAKNET_API int32_t peaknet_abi(void);         /* PEAKNET_ABI of the library that is loaded */
PEAKNET_API const char* peaknet_version(void); /* of the library, "0.1.0" */

/* --- what is known about a frame ------------------------------------------------------------------------------- */

typedef uint32_t peaknet_pixel_type;
enum { PEAKNET_UINT16 = 1, PEAKNET_INT16 = 2, PEAKNET_FLOAT32 = 3 };

typedef uint32_t peaknet_result_status;
enum {
  PEAKNET_NO_RESULT = 0, /* not inferred yet */
  PEAKNET_MASK = 1,      /* there is a mask */
  PEAKNET_MODEL_FAILED = 2,
  PEAKNET_SKIPPED = 3 /* no device looked at it, there were too many: peaknetd was told to shed load */
};

typedef uint32_t peaknet_slot_state;
enum {
  PEAKNET_FREE = 0, /* the frame's life was over; its bytes were still there */
  PEAKNET_FILLING = 1,
  PEAKNET_READY = 2, /* waits for a device */
  PEAKNET_INFERRING = 3,
  PEAKNET_DONE = 4, /* waits for a writer */
  PEAKNET_WRITING = 5,
  PEAKNET_QUARANTINED = 6
};

#define PEAKNET_NO_FIDUCIAL 0xffffffffU

enum { PEAKNET_NORMALISED = 1 }; /* flag: the image is the network's input already, not detector counts */

/* The same for every frame of a pool. An image is panels x height x width pixels, row by row. A mask has one bit per
 * pixel: panel by panel, row by row, a row is mask_words_per_row 64-bit words, bit (x % 64) of word (x / 64) is pixel
 * x, bits beyond the width are 0. */
typedef struct peaknet_geometry {
  uint32_t slots;
  uint32_t panels;
  uint32_t height;
  uint32_t width;
  peaknet_pixel_type pixel_type;
  uint32_t mask_words_per_row;
  uint64_t image_bytes;
  uint64_t mask_bytes;
} peaknet_geometry;

/* What a producer says about its frame. A claimed frame has the values in brackets until you set others. */
typedef struct peaknet_info {
  uint64_t event_id;        /* your own number for the event [0] */
  uint64_t timestamp;       /* seconds since 1970 << 32 | nanoseconds [0: not known] */
  double photon_energy_ev;  /* [NaN: not known]; never 0 */
  double encoder_value;     /* of the detector's stage, mm [NaN: not known] */
  char source_run[32];      /* your own name for the run, zero-terminated [""] */
  uint32_t flags;           /* PEAKNET_NORMALISED [0] */
  uint32_t original_height; /* the part of each panel that holds data, where you padded [height] */
  uint32_t original_width;  /* [width] */
  uint32_t pad_top;         /* where that part begins [0] */
  uint32_t pad_left;        /* [0] */
  uint32_t fiducial;        /* of the pulse, below 2^31; 0 is one [PEAKNET_NO_FIDUCIAL: not known] */
  uint64_t user[4];         /* yours, passed through [0] */
} peaknet_info;

typedef struct peaknet_descriptor {
  peaknet_info info;
  char run[32];      /* run id of peaknetd, "" before a device took the frame */
  uint64_t producer; /* never used twice by one instance */
  /* 0, 1, 2, ... of that producer without gaps: (producer, producer_seq) names the frame for ever */
  uint64_t producer_seq;
  uint64_t sequence;    /* rises from frame to frame of the instance */
  uint64_t last_writer; /* results: who had taken the frame before and did not finish it; 0: nobody */
  uint32_t attempts;    /* results: how many died over this frame */
  peaknet_result_status result;
  peaknet_slot_state state; /* taps: where the frame was when it was found */
  peaknet_pixel_type pixel_type;
  uint32_t panels;
  uint32_t height;
  uint32_t width;
  uint32_t reserved;
  uint64_t claim_ns; /* CLOCK_MONOTONIC of this machine; 0: has not happened */
  uint64_t commit_ns;
  uint64_t take_ns; /* by a device */
  uint64_t done_ns; /* by the device */
} peaknet_descriptor;

/* --- producer -------------------------------------------------------------------------------------------------- */

typedef struct peaknet_producer peaknet_producer;
typedef struct peaknet_frame peaknet_frame; /* a claimed slot, yours until peaknet_commit or peaknet_abandon */

/* What a claim does when no slot is free. */
typedef int32_t peaknet_policy;
enum {
  PEAKNET_POOL_POLICY = -1, /* what pool.full in peaknetd's configuration says */
  PEAKNET_BLOCK = 0,        /* wait, until the time is over */
  PEAKNET_DROP_NEWEST = 1,  /* refuse at once */
  PEAKNET_DROP_OLDEST = 2   /* drop the oldest frame that no device has taken yet; it is counted */
};

/* `label` is what people see in peaknetctl stats. Errors: ABSENT, DENIED, VERSION, DAMAGED, NO_POOL, MEMBERS_FULL,
 * NAME; *producer is NULL then. */
PEAKNET_API peaknet_status peaknet_producer_attach(const char* instance, const char* label, peaknet_policy policy,
                                                   peaknet_producer** producer);
/* The handle is gone afterwards; frames that are still claimed stay usable, and the last of them takes leave. */
PEAKNET_API void peaknet_producer_detach(peaknet_producer* producer);

/* Of the pool as of the last claim: when peaknetd changes the pool, the next claim moves over to the new one. */
PEAKNET_API peaknet_status peaknet_producer_geometry(const peaknet_producer* producer, peaknet_geometry* geometry);
/* The number under which frames of this producer are known; see peaknet_descriptor. 0 for NULL. */
PEAKNET_API uint64_t peaknet_producer_number(const peaknet_producer* producer);

/* A free slot. Waits as the policy says, at most timeout_ns (0: not at all). Frames of one producer are processed in
 * the order of their claims. Several may be claimed at once. Errors: POOL_FULL, REMOVED, FORKED; *frame is NULL then.
 */
PEAKNET_API peaknet_status peaknet_claim(peaknet_producer* producer, int64_t timeout_ns, peaknet_frame** frame);
/* The same for who must look up from a long wait (Python, for its signals): NOTHING after 0.1 s without a slot. Nothing
 * is counted then: call again with the time that went by since the first call as waited_ns (0 at first), until the
 * time-out makes it POOL_FULL, or do not. */
PEAKNET_API peaknet_status peaknet_claim_step(peaknet_producer* producer, int64_t timeout_ns, int64_t waited_ns,
                                              peaknet_frame** frame);

/* Valid until the frame is committed or abandoned, and not a moment longer: then the memory is somebody else's frame.
 * The image holds what the slot's last frame left there, image_bytes of the geometry, page aligned. */
PEAKNET_API void* peaknet_frame_image(peaknet_frame* frame);
/* memcpy, for images: up to twice the bytes a second of a memcpy from 4 MiB on, where it stores past the caches; 0.9 to
 * 1.5 times below, as the machine is; and as fast from every address (measured on AMD with glibc 2.36). Error: ARGUMENT
 * for NULL. */
PEAKNET_API peaknet_status peaknet_copy_image(void* to, const void* from, uint64_t bytes);
PEAKNET_API peaknet_info* peaknet_frame_info(peaknet_frame* frame);

/* From here on the frame exists. The handle is gone afterwards, also on error. `producer_seq` (may be NULL) gets the
 * frame's number. Errors: BAD_DESCRIPTOR, FORKED, LOST; the frame never existed then. */
PEAKNET_API peaknet_status peaknet_commit(peaknet_frame* frame, uint64_t* producer_seq);
/* The frame never existed, its slot is free again. The handle is gone afterwards. */
PEAKNET_API void peaknet_abandon(peaknet_frame* frame);

/* Every value as of a frame of which nothing is known; original_height and original_width are 0. */
PEAKNET_API void peaknet_info_unknown(peaknet_info* info);

/* Claim, copy and commit in one call, for pixels that are in memory of your own already. `shape` says what they are
 * (panels, height, width and pixel_type count; see peaknet_producer_geometry), row by row without gaps. `info` may be
 * NULL: nothing is known; begin one of your own with peaknet_info_unknown (original_height and original_width 0 mean
 * the whole panel). The pixels
 * are read during the call alone. Errors: those of claim and commit, and SHAPE; the frame never existed then. */
PEAKNET_API peaknet_status peaknet_put(peaknet_producer* producer, const void* pixels, const peaknet_geometry* shape,
                                       const peaknet_info* info, int64_t timeout_ns, uint64_t* producer_seq);
/* The same in steps, as peaknet_claim_step. */
PEAKNET_API peaknet_status peaknet_put_step(peaknet_producer* producer, const void* pixels,
                                            const peaknet_geometry* shape, const peaknet_info* info, int64_t timeout_ns,
                                            int64_t waited_ns, uint64_t* producer_seq);

/* --- consumer of results --------------------------------------------------------------------------------------- */

typedef struct peaknet_consumer peaknet_consumer;
typedef struct peaknet_result peaknet_result; /* a frame with its result, yours until it is finished or given back */

typedef int32_t peaknet_outcome;
enum {
  PEAKNET_WRITTEN = 1,  /* it is where it should be, durably */
  PEAKNET_FILTERED = 2, /* it was looked at and is not wanted */
  PEAKNET_FAILED = 3    /* nothing can be done with it: the model failed, or the mask is no good; a SKIPPED result
                           ends so or as FILTERED, and is counted as dropped */
};

/* A consumer is one of the writers of the instance: each result goes to one of them. Errors as for a producer. */
PEAKNET_API peaknet_status peaknet_consumer_attach(const char* instance, const char* label,
                                                   peaknet_consumer** consumer);
/* The handle is gone afterwards; results that are still held stay usable, and the last of them takes leave. */
PEAKNET_API void peaknet_consumer_detach(peaknet_consumer* consumer);
PEAKNET_API peaknet_status peaknet_consumer_geometry(const peaknet_consumer* consumer, peaknet_geometry* geometry);

/* The oldest result that nobody has taken, waiting for it at most timeout_ns. Returns NOTHING when the time is over,
 * and CLOSE when peaknetd waits (peaknetctl stop does) for this consumer to have its files finished; it is returned
 * once no result waits and this consumer holds none, until peaknet_closed answers it. Results whose descriptor is
 * damaged are counted as failed and passed over. Errors: REMOVED, FORKED; *result is NULL unless OK is returned. */
PEAKNET_API peaknet_status peaknet_take(peaknet_consumer* consumer, int64_t timeout_ns, peaknet_result** result);
/* The answer to CLOSE: everything this consumer finished is durable. A consumer that keeps nothing calls it at once. */
PEAKNET_API peaknet_status peaknet_closed(peaknet_consumer* consumer);

/* Valid until the result is finished or given back. The descriptor is a checked private copy. The mask is NULL if the
 * descriptor's result is not PEAKNET_MASK. NULL for NULL. */
PEAKNET_API const peaknet_descriptor* peaknet_result_descriptor(const peaknet_result* result);
PEAKNET_API const void* peaknet_result_image(const peaknet_result* result);
PEAKNET_API const uint64_t* peaknet_result_mask(const peaknet_result* result);

/* The frame's life is over, its slot free: finish a result only when what you made of it is durable. The handle is gone
 * afterwards, also on error, unless the error is ARGUMENT. Errors: FORKED, LOST. */
PEAKNET_API peaknet_status peaknet_finish(peaknet_result* result, peaknet_outcome outcome);
/* Offer it to the consumers again, at once. The handle is gone afterwards. */
PEAKNET_API void peaknet_give_back(peaknet_result* result);

/* --- tap ------------------------------------------------------------------------------------------------------- */

typedef struct peaknet_tap peaknet_tap;

typedef int32_t peaknet_want;
enum {
  PEAKNET_NEWEST_FRAME = 0, /* the newest that was committed */
  PEAKNET_NEWEST_RESULT = 1 /* the newest that has a mask */
};

/* Needs the right to read the shared memory and nothing more; disturbs and delays nobody. Errors: ABSENT, DENIED,
 * VERSION, DAMAGED, NO_POOL, NAME; *tap is NULL then. */
PEAKNET_API peaknet_status peaknet_tap_open(const char* instance, peaknet_tap** tap);
PEAKNET_API void peaknet_tap_close(peaknet_tap* tap);

/* Copies the newest frame whole into the tap if it is newer than the one that the tap has; NOTHING otherwise. Never
 * waits. Errors: REMOVED, OVERRUN, DAMAGED; what the tap has is as it was. */
PEAKNET_API peaknet_status peaknet_tap_latest(peaknet_tap* tap, peaknet_want want);

/* Of the frame that the tap has; valid until the next peaknet_tap_latest. NULL (and ARGUMENT) before the first. The
 * mask is NULL if there is no result; run, take_ns and done_ns are blank then. */
PEAKNET_API const peaknet_descriptor* peaknet_tap_descriptor(const peaknet_tap* tap);
PEAKNET_API const void* peaknet_tap_image(const peaknet_tap* tap);
PEAKNET_API const uint64_t* peaknet_tap_mask(const peaknet_tap* tap);
PEAKNET_API peaknet_status peaknet_tap_geometry(const peaknet_tap* tap, peaknet_geometry* geometry);

#ifdef __cplusplus
}
#endif

/* NOLINTEND(readability-identifier-naming, modernize-*) */
#endif

#!/usr/bin/python3
"""Checks CXI files item by item against what CrystFEL, the CXI format and our own files require.

    cxi_items.py [--images hits|none] [--segmentation] [--events N] [--recovered] FILE...

Prints one line for each item; exit code 0 if all hold, 1 if one fails, 77 if h5py is not installed (skipped).
The items are those of the CrystFEL sources (image-hdf5.c, crystfel_geometry(5)), of the CXI specification 1.6 with its
validator, and of what peaknet-writer promises beyond.
"""
import argparse
import sys

try:
    import h5py
    import numpy
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

IMAGES = "/entry_1/data_1/data"
RESULT = "/entry_1/result_1/"
PEAKNET = "/entry_1/peaknet"
NEEDED = ("peakXPosRaw", "peakYPosRaw", "peakTotalIntensity")
MORE = ("peakMaximumValue", "peakNPixels", "peakSNR", "peakSegPosRaw")


class Items:
    def __init__(self, options):
        self.options = options
        self.failed = 0

    def item(self, name, holds, found=""):
        holds = bool(holds)
        self.failed += not holds
        print(f"{'ok  ' if holds else 'FAIL'} {name}" + ("" if holds else f": found {found}"))
        return holds

    # --- CrystFEL ---------------------------------------------------------------------------------------------------
    def crystfel(self, path, file):
        self.item("name ends with .cxi (CrystFEL takes the CXI peak layout only then)", path.endswith(".cxi"), path)
        if not self.item("image dataset exists, also in a peaks-only file", IMAGES in file, list(file)):
            return
        data = file[IMAGES]
        n = data.shape[0]
        self.item("images are 3-D: event, slow scan (panels stacked), fast scan", data.ndim == 3, data.shape)
        self.item("at least one event", n > 0, n)
        self.item("pixels are counts in the producer's type", data.dtype in (numpy.uint16, numpy.int16, numpy.float32), data.dtype)
        self.item("pixels are little-endian", data.dtype.byteorder in "<=", data.dtype)
        self.item("chunk is one event", data.chunks == (1,) + data.shape[1:], data.chunks)
        self.filters(data)
        stored = data.id.get_num_chunks()
        self.item("every image is stored (none in a peaks-only file)", stored == (0 if self.options.images == "none" else n), stored)

        if not self.item("nPeaks exists", RESULT + "nPeaks" in file):
            return
        counts = file[RESULT + "nPeaks"]
        self.item("nPeaks is (N,), int32", counts.shape == (n,) and counts.dtype == numpy.int32, (counts.shape, counts.dtype))
        counts = counts[:]
        self.item("nPeaks are not negative", (counts >= 0).all(), counts)
        widths = set()
        for name in NEEDED + MORE:
            if not self.item(f"{name} exists", RESULT + name in file):
                continue
            column = file[RESULT + name]
            self.item(f"{name} is (N, M), float32", column.ndim == 2 and column.shape[0] == n and column.dtype == numpy.float32,
                      (column.shape, column.dtype))
            widths.add(column.shape[1])
        width = max(widths, default=0)
        self.item("M is the same everywhere and this file's largest number of peaks (at least 1)",
                  widths == {max(1, int(counts.max()))}, (widths, counts.max()))
        rows = [slice(0, int(c)) for c in counts] if width >= counts.max() else []
        x, y, total, seg = (file[RESULT + name][:] for name in NEEDED + ("peakSegPosRaw",))
        inside = all((x[i, r] >= -0.5).all() and (x[i, r] <= data.shape[2] - 0.5).all() and
                     (y[i, r] >= -0.5).all() and (y[i, r] <= data.shape[1] - 0.5).all() for i, r in enumerate(rows))
        self.item("peaks lie in the slab, 0 = centre of the first pixel", inside)
        self.item("intensities are filled in", all(numpy.isfinite(total[i, r]).all() for i, r in enumerate(rows)))
        if PEAKNET in file:
            height = int(file[PEAKNET].attrs["panel_height"])
            group = file[PEAKNET]
            panel_width = int(group.attrs["panel_width"])
            places = (group["panel_places"][:].astype(float) if "panel_places" in group
                      else numpy.array([[p * height, 0.0] for p in range(int(group.attrs["panels"]))]))
            top, left = ([places[seg[i, r].astype(int), axis] for i, r in enumerate(rows)] for axis in (0, 1))
            on_panel = all((y[i, r] >= top[i] - 0.5).all() and (y[i, r] <= top[i] + height - 0.5).all() and
                           (x[i, r] >= left[i] - 0.5).all() and (x[i, r] <= left[i] + panel_width - 0.5).all()
                           for i, r in enumerate(rows))
            self.item("peaks lie on their panel", on_panel)
        energy = file.get("/LCLS/photon_energy_eV")
        self.item("photon energy is (N,) and real for every event, or absent",
                  energy is None or (energy.shape == (n,) and numpy.isfinite(energy[:]).all() and (energy[:] > 0).all()),
                  None if energy is None else energy[:])

    def filters(self, data):
        creation = data.id.get_create_plist()
        filters = [creation.get_filter(i) for i in range(creation.get_nfilters())]
        self.item("no filter, or bitshuffle+LZ4 with all five parameters, mandatory",
                  filters == [] or [(f[0], f[1], f[2]) for f in filters] == [(32008, 0, (0, 4, data.dtype.itemsize, 0, 2))], filters)

    # --- CXI 1.6 ----------------------------------------------------------------------------------------------------
    def cxi(self, file):
        version = file.get("cxi_version")
        self.item("cxi_version is the integer 160", version is not None and version.shape == () and
                  numpy.issubdtype(version.dtype, numpy.integer) and version[()] == 160, version)
        entries = sorted(name for name in file if name.startswith("entry_"))
        self.item("entries count from 1 without gaps", entries == [f"entry_{i + 1}" for i in range(len(entries))] != [], entries)
        self.item("number_of_entries, if there, is right", "number_of_entries" not in file or file["number_of_entries"][()] == len(entries))
        sets = sorted(name for name in file["entry_1"] if name.startswith("data_"))
        self.item("data groups count from 1 without gaps", sets == [f"data_{i + 1}" for i in range(len(sets))] != [], sets)
        data = file[IMAGES]
        kind = h5py.h5a.open(data.id, b"axes").get_type() if "axes" in data.attrs else None
        self.item("axes is a string of variable length", isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str(), kind)
        axes = data.attrs["axes"] if kind is not None else ""
        axes = axes.decode() if isinstance(axes, bytes) else axes
        self.item("axes names every dimension", len(axes.split(":")) == data.ndim, axes)
        for name in axes.split(":"):
            if name in ("x", "y", "coordinate", "dimension"):
                continue
            sibling = file["/entry_1/data_1"].get(name)
            self.item(f"axis {name} has a dataset of its length beside the images",
                      sibling is not None and sibling.shape[0] == data.shape[0], sibling)
        identifiers = file.get("/entry_1/experiment_identifier")
        self.item("experiment_identifier is a string for every event",
                  identifiers is not None and identifiers.shape == (data.shape[0],) and h5py.check_string_dtype(identifiers.dtype) is not None,
                  identifiers)
        mask = file.get("/entry_1/data_1/mask")
        self.item("mask is (y, x), uint16, 0 where a pixel is good, as mask_good = 0x0000 and mask_bad = 0xffff say",
                  mask is not None and mask.shape == data.shape[1:] and mask.dtype == numpy.uint16 and (mask[:] == 0).any(), mask)
        if mask is not None:
            self.item("mask needs no filter that a reader may lack", mask.compression in (None, "gzip"), mask.compression)
            self.item("peaks are on good pixels", self.on_good_pixels(file, mask[:]))
        for name in ("nPeaks",) + NEEDED + MORE:
            axes = file[RESULT + name].attrs.get("axes", "")
            axes = axes.decode() if isinstance(axes, bytes) else axes
            self.item(f"{name} has an axis for each of its dimensions", len(axes.split(":")) == file[RESULT + name].ndim, axes)
        link = file.get("/entry_1/data_1/experiment_identifier", getlink=True)
        self.item("and a soft link beside the images", isinstance(link, h5py.SoftLink), link)

    @staticmethod
    def on_good_pixels(file, mask):
        counts = file[RESULT + "nPeaks"][:]
        x, y, pixels = (file[RESULT + name][:] for name in ("peakXPosRaw", "peakYPosRaw", "peakNPixels"))
        # The centre of a larger peak may lie between its pixels; that of a single one is it.
        return all(mask[(i, int(y[i, k]), int(x[i, k]))[3 - mask.ndim:]] == 0
                   for i, count in enumerate(counts) for k in range(count) if pixels[i, k] == 1)

    # --- our own ----------------------------------------------------------------------------------------------------
    def own(self, file):
        n = file[IMAGES].shape[0]
        attributes = file.attrs
        for name in ("creation_time", "num_events", "min_num_peak"):
            self.item(f"root attribute {name}", name in attributes, list(attributes))
        self.item("num_events is right", attributes.get("num_events") == n, attributes.get("num_events"))
        self.item("events are as many as expected", self.options.events is None or n == self.options.events, n)
        if not self.item("group peaknet", PEAKNET in file):
            return
        group = file[PEAKNET]
        for name in ("run", "producer", "producer_seq", "event_id", "flags", "original_size", "pad_offset"):
            self.item(f"peaknet/{name} for every event", name in group and group[name].shape[0] == n)
        keys = list(zip(group["run"][:], group["producer"][:], group["producer_seq"][:]))
        self.item("no event is in the file twice", len(set(keys)) == n, keys)
        texts = [f"run {r.decode()} producer {p} frame {s}" for r, p, s in keys]
        found = [t.decode() for t in file["/entry_1/experiment_identifier"][:]]
        self.item("experiment_identifier says run, producer and frame", texts == found, found[:3])
        self.item("all events are of one run", {k[0].decode() for k in keys} == {group.attrs["run"]}, group.attrs["run"])
        self.item("peaknet/config is there", "config" in group and len(group["config"][()]) > 0)
        for name in ("version", "hdf5_version", "commit", "instance", "writer", "host", "model", "model_sha256", "panels", "panel_height", "panel_width",
                     "min_num_peak", "max_num_peak", "centroid", "images", "segmentation", "compression", "events_lost"):
            self.item(f"peaknet attribute {name}", name in group.attrs, list(group.attrs))
        number = group.attrs.get("run_number")
        self.item("run_number is a number, or absent", number is None or int(number) >= 0, number)
        said = [name for name in ("proposal", "user") if group.attrs.get(name) == ""]
        self.item("proposal and user are said, or absent", not said, said)
        title = file.get("/entry_1/title")
        self.item("the title is the user's line", (title[()].decode() if title else None) == group.attrs.get("user"), title)
        self.item("peaks are as many as the settings allow",
                  (file[RESULT + "nPeaks"][:] >= group.attrs["min_num_peak"]).all() and
                  (file[RESULT + "nPeaks"][:] <= group.attrs["max_num_peak"]).all())
        self.item("complete is set", group.attrs.get("complete") == 1, group.attrs.get("complete"))
        self.item("recovered is as expected", bool(group.attrs.get("recovered")) == self.options.recovered, group.attrs.get("recovered"))
        self.lcls(file, n)
        self.segmentation(file, n)

    def lcls(self, file, n):
        """What LCLS writers add, where the producer knew it: -1 and NaN for the events that do not know it, never 0."""
        fiducial = file.get("/LCLS/fiducial")
        self.item("fiducial is int32 for every event, -1 where not known, or absent",
                  fiducial is None or (fiducial.shape == (n,) and fiducial.dtype == numpy.int32 and (fiducial[:] >= -1).all() and
                                       (fiducial[:] >= 0).any()), None if fiducial is None else fiducial[:])
        encoder = file.get("/LCLS/detector_1/EncoderValue")
        self.item("EncoderValue is float64 for every event, NaN where not known, or absent",
                  encoder is None or (encoder.shape == (n,) and encoder.dtype == numpy.float64 and not numpy.isinf(encoder[:]).any() and
                                      not numpy.isnan(encoder[:]).all()), None if encoder is None else encoder[:])
        times = file.get("/LCLS/detector_1/timestamp")
        if times is not None:
            self.item("machineTime and machineTimeNanoSeconds are the halves of timestamp",
                      (times[:] >> 32 == file["/LCLS/machineTime"][:]).all() and
                      (times[:] & 0xFFFFFFFF == file["/LCLS/machineTimeNanoSeconds"][:]).all())


    def segmentation(self, file, n):
        masks = file.get(RESULT + "segmentation_map")
        self.item("masks of the network are there if and only if they were asked for", (masks is not None) == self.options.segmentation)
        if masks is None:
            return
        self.item("they lie as the images do, a byte a pixel, one chunk an event",
                  masks.shape == file[IMAGES].shape and masks.dtype == numpy.uint8 and masks.chunks == (1,) + masks.shape[1:],
                  (masks.shape, masks.dtype, masks.chunks))
        self.filters(masks)
        self.item("every mask is stored", masks.id.get_num_chunks() == n, masks.id.get_num_chunks())
        self.item("every mask has a checksum", file[PEAKNET + "/segmentation_checksum"].shape == (n,))
        if masks.compression is None and masks.id.get_create_plist().get_nfilters() > 0:
            try:
                masks[0]
            except OSError as problem:
                print(f"     masks are not looked into: {problem}")
                return
        self.item("their pixels are 0 or 1", all((masks[i] <= 1).all() for i in range(n)))
        self.item("single pixels that are peaks are set in them", self.on_good_pixels(file, 1 - masks[:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", choices=("hits", "none"), default="hits", help="output.images of the writer")
    parser.add_argument("--segmentation", action="store_true", help="output.segmentation of the writer")
    parser.add_argument("--events", type=int, help="how many events each file must have")
    parser.add_argument("--recovered", action="store_true", help="the file was made again from a ledger")
    parser.add_argument("files", nargs="+", metavar="FILE")
    options = parser.parse_args()
    items = Items(options)
    for path in options.files:
        print(path)
        try:
            file = h5py.File(path, "r")
        except OSError as problem:
            items.item("opens as it is", False, problem)
            continue
        with file:
            items.crystfel(path, file)
            items.cxi(file)
            items.own(file)
    print(f"{items.failed} items fail" if items.failed else "all items hold")
    return 1 if items.failed else 0


if __name__ == "__main__":
    sys.exit(main())

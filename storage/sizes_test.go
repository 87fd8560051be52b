package storage

import "testing"

func TestSizesFollowTheDisk(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	large := Options{WALSegmentBytes: 32 * mib, WALPendingBytes: 16 * mib, CutWALBytes: gib, CutHeadBytes: 256 * mib, MinFreeBytes: 32 * mib, ReserveBytes: 4 * mib}
	tests := []struct {
		name  string
		total uint64
		given Options
		want  Options
	}{
		{"unknown", 0, Options{}, large},
		{"large", 1 << 40, Options{}, large},
		{"8 GiB", 8 * gib, Options{}, large},
		{"1 GiB", gib, Options{}, Options{WALSegmentBytes: 32 * mib, WALPendingBytes: 16 * mib, CutWALBytes: 128 * mib, CutHeadBytes: 128 * mib,
			MinFreeBytes: 32 * mib, ReserveBytes: 4 * mib}},
		{"300 MiB", 300 * mib, Options{}, Options{WALSegmentBytes: 8 * mib, WALPendingBytes: 4 * mib, CutWALBytes: 300 * mib / 8, CutHeadBytes: 300 * mib / 8,
			MinFreeBytes: 300 * mib / 16, ReserveBytes: 4 * mib}},
		{"130 MiB", 130 * mib, Options{}, Options{WALSegmentBytes: 4 * mib, WALPendingBytes: 2 * mib, CutWALBytes: 130 * mib / 8, CutHeadBytes: 130 * mib / 8,
			MinFreeBytes: 130 * mib / 16, ReserveBytes: 130 * mib / 64}},
		{"1 MiB", mib, Options{}, Options{WALSegmentBytes: 256 << 10, WALPendingBytes: 128 << 10, CutWALBytes: 128 << 10, CutHeadBytes: 128 << 10,
			MinFreeBytes: 64 << 10, ReserveBytes: 16 << 10}},
		{"set", 130 * mib, large, large},
		{"set in part", 130 * mib, Options{WALSegmentBytes: 1 * mib, MinFreeBytes: 1}, Options{WALSegmentBytes: 1 * mib, WALPendingBytes: mib / 2,
			CutWALBytes: 130 * mib / 8, CutHeadBytes: 130 * mib / 8, MinFreeBytes: 1, ReserveBytes: 130 * mib / 64}},
	}
	for _, c := range tests {
		got := c.given.sizedFor(c.total)
		if got.WALSegmentBytes != c.want.WALSegmentBytes || got.WALPendingBytes != c.want.WALPendingBytes || got.CutWALBytes != c.want.CutWALBytes ||
			got.CutHeadBytes != c.want.CutHeadBytes || got.MinFreeBytes != c.want.MinFreeBytes || got.ReserveBytes != c.want.ReserveBytes {
			t.Errorf("%s: got %+v\nwant %+v", c.name, got, c.want)
		}
	}
	// Whatever the size, segments are such as the log takes, and together with
	// what must stay free they leave most of the disk.
	for total := uint64(16 * mib); total < 1<<41; total += total / 7 {
		o := Options{}.sizedFor(total)
		if err := (&env{opts: o}).walOptions().Validate(); err != nil {
			t.Fatalf("%d bytes: %v", total, err)
		}
		if kept := 5*o.WALSegmentBytes + o.MinFreeBytes + o.ReserveBytes; uint64(kept) > total/4 {
			t.Fatalf("%d bytes: %d are taken before the first sample", total, kept)
		}
	}
}

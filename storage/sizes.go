package storage

import "math/bits"

// The default sizes on a disk that is large enough for them.
const (
	defaultSegmentBytes = 32 << 20
	defaultPendingBytes = 16 << 20
	defaultCutWALBytes  = 1 << 30
	defaultCutHeadBytes = 256 << 20
	defaultMinFreeBytes = 32 << 20
	defaultReserveBytes = 4 << 20
)

// smallestSegmentBytes is the size of a log segment on the smallest disks: a
// frame is at most an eighth of it.
const smallestSegmentBytes = 256 << 10

// sizedFor sets the sizes that are not set, for a file system of total bytes,
// 0 = unknown. On a small one they are a share of it: the log keeps up to five
// segments besides those with samples (the current one, two spares, two
// released ones), which are at most 5/32 of the disk; samples in the log and in
// memory wait for a cut until they take 1/8 each; 1/16 stays free and 1/64 is
// the reserve file.
func (o Options) sizedFor(total uint64) Options {
	share := func(part uint64, size int64) int64 {
		if total == 0 {
			return size
		}
		return int64(max(min(total/part, uint64(size)), 1))
	}
	if o.WALSegmentBytes == 0 {
		n := share(32, defaultSegmentBytes)
		o.WALSegmentBytes = max(int64(1)<<(bits.Len64(uint64(n))-1), smallestSegmentBytes)
	}
	// Half a segment, so that one spare segment is enough most of the time.
	setDefault(&o.WALPendingBytes, int(min(defaultPendingBytes, o.WALSegmentBytes/2)))
	setDefault(&o.CutWALBytes, share(8, defaultCutWALBytes))
	setDefault(&o.CutHeadBytes, share(8, defaultCutHeadBytes))
	setDefault(&o.MinFreeBytes, share(16, defaultMinFreeBytes))
	setDefault(&o.ReserveBytes, share(64, defaultReserveBytes))
	return o
}

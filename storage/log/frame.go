package log

import "fmt"

// FrameType identifies the kind of payload of a frame. The numbers are part of the format.
type FrameType uint8

// The types of frames.
const (
	FrameSeries     FrameType = 1 // definitions of series: AppendSeries
	FrameSamples    FrameType = 2 // float samples: AppendSamples
	FrameHistograms FrameType = 3 // AppendHistograms
	FrameExemplars  FrameType = 4 // AppendExemplars
	FrameMetadata   FrameType = 5 // AppendMetadata
	FrameTombstone  FrameType = 6 // a deletion as earlier versions wrote it: AppendTombstone
	// FrameMark has no payload: it records the synced LSN and the number of the
	// manifest edit in its header.
	FrameMark FrameType = 7
	// FrameStart is the first frame of a generation. Its payload is the LSN of
	// the last frame before it in the log (8 bytes): LSNs between that and its
	// own were never used or were cut as a torn tail.
	FrameStart FrameType = 8
	// FrameRelease is a mark whose payload is the lowest generation that is
	// still needed (8 bytes). Segments of lower ones may be missing.
	FrameRelease FrameType = 9
	// FrameDeletion is a deletion's place in the order of a shard: AppendDeletion.
	// It counts only if the generation has the FrameDeletionEnd with its number. A
	// program that does not know these two types refuses the log.
	FrameDeletion FrameType = 10
	// FrameDeletionEnd comes after a deletion's frames of all shards: AppendDeletionEnd.
	FrameDeletionEnd FrameType = 11
)

var frameNames = [...]string{
	"", "series", "samples", "histograms", "exemplars", "metadata", "tombstone", "mark", "start", "release", "deletion", "deletion end",
}

// Valid reports whether t is a type of this version.
func (t FrameType) Valid() bool { return t >= FrameSeries && t <= FrameDeletionEnd }

// Internal reports whether only the log itself writes frames of the type. Replay
// leaves them out.
func (t FrameType) Internal() bool { return t >= FrameMark && t <= FrameRelease }

// OfDeletion reports whether frames of the type take their bytes from ReserveDelete.
func (t FrameType) OfDeletion() bool {
	return t == FrameTombstone || t == FrameDeletion || t == FrameDeletionEnd
}

func (t FrameType) String() string {
	if t.Valid() {
		return frameNames[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Frame is one entry of the log.
type Frame struct {
	Type       FrameType
	Shard      int // 0 ≤ Shard < model.Shards
	Tenant     uint32
	LSN        uint64 // > 0, rises by one from frame to frame while a process lives
	Generation uint64 // > 0
	Synced     uint64 // < LSN: all frames up to this one were durable when this was written
	Edit       uint64 // last manifest edit known to be durable, 0 = none
	WallMs     int64  // when it was written, Unix milliseconds
	Payload    []byte
}

// Sizes of frames, in which reservations are counted.
const (
	FrameHeaderBytes = 56 // before the payload
	FrameAlign       = 8  // a frame's size is a multiple of it
	// MaxPayload is the largest payload of a frame in any log; Log.MaxPayload
	// returns that of an open one.
	MaxPayload = 4 << 20
)

// FrameBytes returns the size in the log of a frame with a payload of n bytes.
func FrameBytes(n int) int { return (FrameHeaderBytes + n + FrameAlign - 1) &^ (FrameAlign - 1) }

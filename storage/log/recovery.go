package log

import (
	"context"
	"fmt"
)

// Store holds the frames of a log between two processes.
type Store interface {
	// Scan reads what the log holds and changes nothing. Damage is not an error
	// but part of the report.
	Scan() (Recovery, error)
}

// Recovery is what a log holds when a process starts. It is not safe for
// concurrent use.
type Recovery interface {
	// Report returns the summary of the scan.
	Report() Report
	// Highest returns the highest numbers seen, those of the torn tail included.
	Highest() Pos
	// Generations returns the numbers of the generations that have frames, rising.
	Generations() []uint64
	// Holds reports whether the log has every frame of the generations from lo to
	// hi: they are undamaged and have ended.
	Holds(lo, hi uint64) bool
	// Loss returns the durable frames of generations from low on that are known to
	// be missing, nil if none are.
	Loss(low uint64) *Loss
	// Deletions returns the numbers of a generation's deletions that were logged to
	// their end: those of its FrameDeletionEnd.
	Deletions(gen uint64) map[uint64]bool
	// Replay calls apply for each frame of a generation, except the log's own,
	// without decoding payloads. Frames of a shard are applied in order, one at a
	// time; different shards run in up to workers goroutines. apply must not keep
	// or change the payload. Replay stops at the first error of apply and when ctx
	// is done.
	Replay(ctx context.Context, gen uint64, workers int, apply func(shard int, f Frame) error) error
	// Repair cuts off the torn tail, so that a log can be opened.
	Repair() error
	// Open opens the log in a new generation, above every number in start and
	// every one seen. The frames seen stay until Release.
	Open(start Pos) (Log, error)
}

// Pos holds the highest numbers ever used. A log starts above them.
type Pos struct{ Generation, LSN, Segment uint64 }

// Report summarizes the result of Scan.
type Report struct {
	Segments int    // with frames
	Frames   uint64 // kept
	Bytes    int64  // of those
	FirstLSN uint64 // of those; 0 = none
	LastLSN  uint64
	Synced   uint64 // highest LSN that a frame or the list of segments records as durable
	Edit     uint64 // highest manifest edit that a frame records as durable
	Torn     Torn
	Damage   []Damage // the first ones, a bounded number
	Damages  int      // their number
	ListErr  error    // why the list of segments was ignored, nil if it was used
}

// Torn is the end of the log that was being written when the machine stopped:
// nothing in it was acknowledged.
type Torn struct {
	File     string // file in which it begins, "" = no torn tail
	Offset   int64
	Bytes    int64  // in all files
	FirstLSN uint64 // the first LSN that is lost
	LastLSN  uint64 // the last one seen in it, 0 = none could be read
}

// Damage is a range of a segment that held durable frames and cannot be read,
// or frames that are missing altogether.
type Damage struct {
	File     string
	Offset   int64
	Bytes    int64  // 0 if only missing LSNs show the damage
	FirstLSN uint64 // lost LSNs, inclusive; 0 = unknown
	LastLSN  uint64
}

func (d Damage) String() string {
	switch {
	case d.LastLSN == 0:
		return fmt.Sprintf("%d bytes are no frames", d.Bytes)
	case d.FirstLSN == 0:
		return fmt.Sprintf("%d bytes are no frames, LSNs up to %d are lost", d.Bytes, d.LastLSN)
	case d.Bytes == 0:
		return fmt.Sprintf("LSNs %d to %d are lost", d.FirstLSN, d.LastLSN)
	}
	return fmt.Sprintf("%d bytes are no frames, LSNs %d to %d are lost", d.Bytes, d.FirstLSN, d.LastLSN)
}

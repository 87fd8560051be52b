package log

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"path"
	"strings"
	"time"
)

// LostSegment is a segment that lacks durable frames recorded in the list of
// segments.
type LostSegment struct {
	File       string // its path
	ID         uint64
	Generation uint64
	Listed     int64 // the end of its durable frames, as listed
	Found      int64 // the end of those found, 0 = none
	What       string
	FromMs     int64 // wall times between which the lost frames were written,
	ToMs       int64 // according to the list
}

// Loss is the error of opening a log that has lost durable frames.
type Loss struct {
	Segments     []LostSegment // by rising id, at least one
	FromMs, ToMs int64         // wall times between which the lost frames were written, according to the list
}

// maxNamedSegments bounds the segments named in the text of a Loss.
const maxNamedSegments = 4

func (l *Loss) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "acknowledged samples are missing from the log, received from %s to %s or later: ", wallTime(l.FromMs), wallTime(l.ToMs))
	for i, s := range l.Segments {
		if i == maxNamedSegments {
			fmt.Fprintf(&b, ", and %d further segments", len(l.Segments)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "segment %s %s", path.Base(s.File), s.What)
	}
	return b.String()
}

// Token returns a short hash that identifies this loss.
func (l *Loss) Token() string {
	h := sha256.New()
	for _, s := range l.Segments {
		var b []byte
		for _, v := range []uint64{s.ID, s.Generation, uint64(s.Listed), uint64(s.Found), uint64(s.FromMs), uint64(s.ToMs)} {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func wallTime(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

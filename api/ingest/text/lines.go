package text

import (
	"bytes"
	"context"

	"tsdb/api/ingest/door"
	"tsdb/storage"
)

// Lines decodes text that is not the body of a request, such as a file. Unlike a
// request, it says what it is: times have the unit of its format, and lines without one
// are refused. It belongs to one goroutine.
type Lines struct {
	door        *door.Door[*decoder]
	openMetrics bool
	families    families
	metadata    door.MetadataCache
}

// NewLines returns a decoder of OpenMetrics, or of Prometheus' text format, that adds
// what it decodes to the stores of a backend.
func NewLines(b door.Backend, openMetrics bool) *Lines {
	l := &Lines{openMetrics: openMetrics}
	l.door = door.New(door.NewShared(door.Options{Backend: b}), DoorName, door.Text, func() *decoder { return &decoder{metadata: &l.metadata} })
	return l
}

// Decode decodes lines, which follow those of the call before, and commits them to the
// backend's store.
func (l *Lines) Decode(ctx context.Context, lines []byte) (storage.Receipt, error) {
	q, err := l.door.Acquire()
	if err != nil {
		return storage.Receipt{}, err
	}
	defer q.Release()
	l.families.next()
	d := q.Decoder
	d.src, d.families, d.openMetrics, d.unit, d.timed = lines, &l.families, l.openMetrics, inMilliseconds, true
	if l.openMetrics {
		d.unit = inSeconds
	}
	return q.Store(ctx)
}

// Cut returns how many bytes of whole lines, which more lines follow, to decode at once,
// so that what belongs together stays together.
func (l *Lines) Cut(lines []byte) int {
	if !l.openMetrics {
		return len(lines)
	}
	return cutPoints(lines)
}

// Seen takes note of lines that come before those that are decoded, and have been decoded
// already: the types in them are those of series to come.
func (l *Lines) Seen(lines []byte) {
	l.families.next()
	f := &l.families.end
	for line := range bytes.Lines(lines) {
		if line = trim(bytes.TrimSuffix(line, newline)); len(line) == 0 || line[0] != '#' {
			continue
		}
		if c, ok := parseComment(line); ok {
			f.add(c)
		}
	}
	f.undescribed = false
}

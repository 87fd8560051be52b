package influx

import (
	"bytes"
	"fmt"

	"tsdb/api/ingest/door"
	"tsdb/storage"
)

// maxLineErrors is the number of bad lines quoted in a response; the others are
// only counted.
const maxLineErrors = 5

// lineRefusal is a bad line.
type lineRefusal struct {
	number int    // of the line in the request, from 1
	line   string // an excerpt
	text   string // empty = the time of a point is refused by storage
}

// String words a refusal as InfluxDB 1.x does.
func (l lineRefusal) String() string { return fmt.Sprintf("unable to parse '%s': %s", l.line, l.text) }

// badLines collects the bad lines of a request.
type badLines struct {
	errors []lineRefusal // the first ones
	n      int           // all
	last   *byte         // first byte of the last one

	// counted and numbered remember how many lines end before a byte of the request.
	counted, numbered int
}

func (l *badLines) reset() { *l = badLines{errors: l.errors[:0]} }

// again reports whether a line is the one that was refused last, and remembers it. A
// line is reported once, however many of its series are refused.
func (l *badLines) again(line []byte) bool {
	again := l.last == &line[0]
	l.last = &line[0]
	if !again {
		l.n++
	}
	return again
}

// numberOf returns the number of the line that contains part, which is a slice of src.
func (l *badLines) numberOf(src, part []byte) int {
	at := cap(src) - cap(part)
	if at < l.counted {
		l.counted, l.numbered = 0, 0
	}
	l.numbered += bytes.Count(src[l.counted:at], []byte("\n"))
	l.counted = at
	return l.numbered + 1
}

// Refuse implements door.Refuser: the line is refused, in InfluxDB's words.
func (d *decoder) Refuse(b *door.Batch, k int, bad *storage.Reject, n int) {
	err := badLine(bad.Reason, bad.Detail)
	if bad.Reason == storage.ReasonDuplicateLabel {
		err = errTagTwice
	}
	d.refused += n
	d.refuseLine(b, d.samples[k].line, err)
}

// refuseLine counts a refusal and keeps the texts of the first few lines. It is called
// for each refused series of a line.
func (d *decoder) refuseLine(b *door.Batch, line []byte, err *lineError) {
	keep := d.keepLine(line, err.text)
	text := ""
	if keep || b.Labels.WantsDetail(err.reason) {
		text = lineRefusal{line: excerpt(line), text: err.text}.String()
	}
	b.Reject(err.reason, "", text, 1)
}

// keepLine counts a bad line, and keeps it if it is one of the first.
func (d *decoder) keepLine(line []byte, text string) bool {
	limit := maxLineErrors
	if d.lists {
		limit = maxLineErrors3
	}
	if d.bad.again(line) || len(d.bad.errors) >= limit {
		return false
	}
	r := lineRefusal{line: excerpt(line), text: text}
	if d.lists {
		r.line = clipBytes(line, maxOriginalLine)
		r.number = d.bad.numberOf(d.src, line)
	}
	d.bad.errors = append(d.bad.errors, r)
	return true
}

// excerpt returns the start of a line for a message.
func excerpt(line []byte) string {
	return door.Clip(string(line[:min(len(line), door.MaxExcerptBytes+4)]), door.MaxExcerptBytes)
}

// clipBytes returns the first n bytes of a line without a part of a character.
func clipBytes(line []byte, n int) string {
	if len(line) <= n {
		return string(line)
	}
	clipped := door.Clip(string(line[:n+1]), n)
	return clipped[:len(clipped)-len("…")]
}

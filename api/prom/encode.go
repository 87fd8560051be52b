package prom

import (
	"io"
	"math"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/query"
)

// encoderBytes is the number of bytes of a response that are buffered before they
// are sent.
const encoderBytes = 64 << 10

// encoder appends JSON to a buffer that is sent whenever it is full. After an
// error of the connection, checkpoint ends loops early.
type encoder struct {
	w        io.Writer
	b        []byte
	sent     bool
	encoding *query.ResponseEncoding // does nothing for answers other than a query's
	err      error
}

func newEncoder(w io.Writer) *encoder {
	return &encoder{w: w, b: make([]byte, 0, 4<<10), encoding: &query.ResponseEncoding{}}
}

// checkpoint sends the buffer if it is full and reports whether to continue. Loops
// with an unbounded number of parts call it after each part.
func (e *encoder) checkpoint() bool {
	if len(e.b) >= encoderBytes {
		if e.send(); e.err == nil {
			e.err = e.encoding.Resume()
		}
	}
	return e.err == nil
}

func (e *encoder) send() {
	e.encoding.Pause()
	if e.err == nil {
		_, e.err = e.w.Write(e.b)
	}
	e.b, e.sent = e.b[:0], true
}

// finish sends the rest of the buffer. An answer that fits the buffer is sent with a
// Content-Length.
func (e *encoder) finish() error {
	if w, ok := e.w.(http.ResponseWriter); ok && !e.sent {
		w.Header().Set("Content-Length", strconv.Itoa(len(e.b)))
	}
	e.send()
	return e.err
}

func (e *encoder) raw(s string) { e.b = append(e.b, s...) }

func (e *encoder) strings(ss []string) {
	e.b = append(e.b, '[')
	for i, s := range ss {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.b = appendString(e.b, s)
		if !e.checkpoint() {
			return
		}
	}
	e.b = append(e.b, ']')
}

// appendString appends a JSON string. Invalid UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	done := 0 // bytes of s that are in dst
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(dst, s[done:i]...)
				dst = append(dst, `\ufffd`...)
				done = i + 1
			}
			i += n
			continue
		}
		i++
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[done:i-1]...)
		done = i
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	dst = append(dst, s[done:]...)
	return append(dst, '"')
}

// appendTime appends Unix milliseconds as seconds, with three decimals if they
// are not whole seconds.
func appendTime(dst []byte, ms int64) []byte {
	u := uint64(ms)
	if ms < 0 {
		dst = append(dst, '-')
		u = -u
	}
	dst = strconv.AppendUint(dst, u/1000, 10)
	if f := u % 1000; f != 0 {
		dst = append(dst, '.', byte('0'+f/100), byte('0'+f/10%10), byte('0'+f%10))
	}
	return dst
}

// appendFloat appends the shortest text of a float as a JSON string, with an
// exponent only outside [1e-6, 1e21).
func appendFloat(dst []byte, v float64) []byte {
	dst = append(dst, '"')
	// Fast path: most values are counters, and printing them as integers is four
	// times as fast.
	if i := int64(v); float64(i) == v && -1<<53 < i && i < 1<<53 && (i != 0 || !math.Signbit(v)) {
		dst = strconv.AppendInt(dst, i, 10)
		return append(dst, '"')
	}
	// Fast path: many others have up to three decimals. Decimals of at most 15
	// digits are distinct floats, so this is the shortest text.
	if i := int64(math.RoundToEven(v * 1000)); float64(i)/1000 == v && -1e15 < i && i < 1e15 && i != 0 {
		dst = appendThousandths(dst, i)
		return append(dst, '"')
	}
	format := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, v, format, -1, 64)
	return append(dst, '"')
}

// appendThousandths appends i/1000 without trailing zeros.
func appendThousandths(dst []byte, i int64) []byte {
	if i < 0 {
		dst, i = append(dst, '-'), -i
	}
	dst = strconv.AppendInt(dst, i/1000, 10)
	f := i % 1000
	if f == 0 {
		return dst
	}
	dst = append(dst, '.', byte('0'+f/100))
	if f %= 100; f != 0 {
		dst = append(dst, byte('0'+f/10))
	}
	if f %= 10; f != 0 {
		dst = append(dst, byte('0'+f))
	}
	return dst
}

// appendLabels appends a label set as an object.
func appendLabels(dst []byte, ls labels.Labels) []byte {
	dst = append(dst, '{')
	first := true
	ls.Range(func(l labels.Label) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendString(dst, l.Name)
		dst = append(dst, ':')
		dst = appendString(dst, l.Value)
	})
	return append(dst, '}')
}

// Inclusiveness of the bounds of a histogram bucket.
const (
	boundsOpenLeft  = '0' // (lower, upper]
	boundsOpenRight = '1' // [lower, upper)
	boundsOpen      = '2'
	boundsClosed    = '3'
)

// appendHistogram appends count, sum and the non-empty buckets:
// {"count":"2","sum":"3","buckets":[[0,"1","2","2"]]}.
func appendHistogram(dst []byte, h *histogram.FloatHistogram) []byte {
	dst = append(dst, `{"count":`...)
	dst = appendFloat(dst, h.Count)
	dst = append(dst, `,"sum":`...)
	dst = appendFloat(dst, h.Sum)
	next := `,"buckets":[[`
	for it := h.AllBucketIterator(); it.Next(); {
		b := it.At()
		if b.Count == 0 {
			continue
		}
		dst = append(dst, next...)
		next = `],[`
		dst = append(dst, bounds(b.LowerInclusive, b.UpperInclusive), ',')
		dst = appendFloat(dst, b.Lower)
		dst = append(dst, ',')
		dst = appendFloat(dst, b.Upper)
		dst = append(dst, ',')
		dst = appendFloat(dst, b.Count)
	}
	if next == `],[` {
		dst = append(dst, `]]`...)
	}
	return append(dst, '}')
}

func bounds(lowerInside, upperInside bool) byte {
	switch {
	case lowerInside && upperInside:
		return boundsClosed
	case lowerInside:
		return boundsOpenRight
	case upperInside:
		return boundsOpenLeft
	}
	return boundsOpen
}

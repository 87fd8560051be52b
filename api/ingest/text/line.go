package text

import (
	"bytes"
	"math"

	"tsdb/internal/decimal"
	"tsdb/storage"
)

// A lineError is the reason why a line is refused.
type lineError struct {
	reason storage.Reason
	text   string
}

var (
	errNoValue     = &lineError{storage.ReasonBadValue, "no value after the name and labels"}
	errBadValue    = &lineError{storage.ReasonBadValue, "the value is no number"}
	errNoTime      = &lineError{storage.ReasonBadTime, "no timestamp after the value"}
	errBadTime     = &lineError{storage.ReasonBadTime, "the timestamp is no number"}
	errTrailing    = &lineError{storage.ReasonBadValue, "text after the timestamp"}
	errOpenBrace   = &lineError{storage.ReasonBadLabel, "the labels are not closed"}
	errBadStart    = &lineError{storage.ReasonBadTime, "the value of _created is no time"}
	errBadExemplar = &lineError{storage.ReasonBadExemplar, "malformed exemplar"}
)

// point is a line of a sample, split as far as needed to look up its series. Its
// slices point into the line.
type point struct {
	series   []byte // name and labels, as sent
	v        float64
	t        int64 // Unix milliseconds
	timed    bool
	exemplar []byte // from its brace on; nil if there is none
}

// isBlank reports whether c separates the parts of a line.
func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func trimLeft(b []byte) []byte {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	return b
}

// trim removes blanks at both ends, and the \r of a \r\n.
func trim(line []byte) []byte {
	line = trimLeft(line)
	for n := len(line); n > 0 && (isBlank(line[n-1]) || line[n-1] == '\r'); n-- {
		line = line[:n-1]
	}
	return line
}

// parse splits a trimmed line that is neither empty nor a comment. The bytes of the
// series are not validated: that is done once, when the series is new.
//
// In a line without an exemplar the last brace ends the labels: nothing behind it
// has braces. So labels are not read from the left, but for lines that have a #.
func (p *point) parse(line []byte, unit timeUnit) *lineError {
	p.exemplar, p.timed = nil, false
	var rest []byte
	if bytes.IndexByte(line, '#') >= 0 {
		n := seriesEnd(line)
		if n < 0 {
			return errOpenBrace
		}
		p.series, rest = line[:n], line[n:]
		if at := bytes.IndexByte(rest, '#'); at >= 0 {
			p.exemplar = trimLeft(rest[at+1:])
			if len(p.exemplar) == 0 || p.exemplar[0] != '{' {
				return errBadExemplar
			}
			rest = trim(rest[:at])
		}
	} else if n := bytes.LastIndexByte(line, '}'); n >= 0 {
		p.series, rest = line[:n+1], line[n+1:]
	} else {
		n := nameEnd(line)
		p.series, rest = line[:n], line[n:]
		if rest = trimLeft(rest); len(rest) > 0 && rest[0] == '{' {
			return errOpenBrace
		}
	}
	rest = trimLeft(rest)
	if v, n, err := decimal.Leading(rest); err == nil && (n == len(rest) || isBlank(rest[n])) {
		p.v, rest = v, rest[n:]
	} else {
		var value []byte
		if value, rest = token(rest); len(value) == 0 {
			return errNoValue
		}
		if p.v, err = decimal.ParseAny(value); err != nil {
			return errBadValue
		}
	}
	if rest = trimLeft(rest); len(rest) == 0 {
		return nil
	}
	at, more := token(rest)
	if len(trimLeft(more)) > 0 {
		return errTrailing
	}
	p.timed = true
	var ok bool
	if p.t, ok = parseTime(at, unit); !ok {
		return errBadTime
	}
	return nil
}

// parseAgain is parse for a line of a series, which lines in the order of series repeat. It
// returns false if the line is of another one, or has anything but numbers behind it.
func (p *point) parseAgain(line, series []byte, unit timeUnit) bool {
	n := len(series)
	if n == 0 || len(line) <= n || !isBlank(line[n]) || !bytes.Equal(line[:n], series) {
		return false
	}
	rest := trimLeft(line[n:])
	v, end, err := decimal.Leading(rest)
	if err != nil || end < len(rest) && !isBlank(rest[end]) {
		return false
	}
	p.series, p.v, p.exemplar, p.timed = line[:n], v, nil, false
	if rest = trimLeft(rest[end:]); len(rest) == 0 {
		return true
	}
	p.t, p.timed = parseTime(rest, unit)
	return p.timed
}

// token returns the text up to the next blank, and what follows.
func token(b []byte) (_, rest []byte) {
	b = trimLeft(b)
	n := 0
	for n < len(b) && !isBlank(b[n]) {
		n++
	}
	return b[:n], b[n:]
}

// seriesEnd returns the end of the name and labels at the start of a line, -1 if the
// labels are not closed.
func seriesEnd(line []byte) int {
	n := nameEnd(line)
	brace := n
	for brace < len(line) && isBlank(line[brace]) {
		brace++
	}
	if brace == len(line) || line[brace] != '{' {
		return n
	}
	return closingBrace(line, brace)
}

// nameEnd returns the end of the bare name at the start of a line. What follows it need
// not be a blank, as in Prometheus' parser: a+1 is a sample of a.
func nameEnd(line []byte) int {
	n := 0
	for n < len(line) && isNameByte(line[n], n == 0) {
		n++
	}
	return n
}

// closingBrace returns the position after the brace that closes the one at from, -1
// if there is none. Braces in quotes do not count.
func closingBrace(b []byte, from int) int {
	for i := from + 1; i < len(b); i++ {
		switch b[i] {
		case '}':
			return i + 1
		case '"':
			n := closingQuote(b[i:])
			if n < 0 {
				return -1
			}
			i += n - 1
		}
	}
	return -1
}

// closingQuote returns the position after the string at the start of b, -1 if it is
// not closed.
func closingQuote(b []byte) int {
	for from := 1; ; {
		n := bytes.IndexByte(b[from:], '"')
		if n < 0 {
			return -1
		}
		end := from + n
		slashes := 0
		for end-slashes > from && b[end-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return end + 1
		}
		from = end + 1
	}
}

// timeUnit is the unit of timestamps.
type timeUnit uint8

const (
	// guessedUnit is milliseconds, unless a time has a fraction or is small: then the text
	// is OpenMetrics that does not say so.
	guessedUnit timeUnit = iota
	inSeconds
	inMilliseconds
)

// maxSeconds bounds times of a guessed unit: smaller ones are seconds, because as
// milliseconds they would be in January 1970.
const maxSeconds = 1 << 31

// parseTime returns a time in Unix milliseconds. Fractions of milliseconds are cut.
func parseTime(b []byte, unit timeUnit) (ms int64, ok bool) {
	t, err := decimal.Int(b)
	if unit == inMilliseconds {
		return t, err == nil
	}
	if err == nil {
		if unit == guessedUnit && (t >= maxSeconds || t <= -maxSeconds) {
			return t, true
		}
		if t > math.MaxInt64/1000 || t < math.MinInt64/1000 {
			return 0, false
		}
		return t * 1000, true
	}
	return secondsToMs(b)
}

// secondsToMs parses seconds with a fraction.
func secondsToMs(b []byte) (ms int64, ok bool) {
	v, err := decimal.ParseAny(b)
	if ms := v * 1000; err == nil && ms > -1<<63 && ms < 1<<63 {
		return int64(ms), true
	}
	return 0, false
}

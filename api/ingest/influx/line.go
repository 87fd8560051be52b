package influx

import (
	"bytes"
	"fmt"

	"tsdb/api/ingest/door"
	"tsdb/storage"
)

// Bounds of one line.
const (
	maxKeyBytes   = 65535   // measurement and tags, as in InfluxDB
	maxLineFields = 1 << 16 // fields
)

// A lineError is the reason why a line is refused.
type lineError struct {
	reason storage.Reason
	text   string // as InfluxDB words it
}

func badLine(reason storage.Reason, text string) *lineError { return &lineError{reason, text} }

// Errors that do not depend on the line.
var (
	errNoMeasurement = badLine(storage.ReasonNoName, "missing measurement")
	errTagKey        = badLine(storage.ReasonBadLabel, "missing tag key")
	errTagValue      = badLine(storage.ReasonBadLabel, "missing tag value")
	errTagFormat     = badLine(storage.ReasonBadLabel, "invalid tag format")
	errTagTime       = badLine(storage.ReasonBadLabel, `invalid tag key: input tag "time" is invalid`)
	errTagReserved   = badLine(storage.ReasonBadLabel, "tag "+string(door.MetricName)+" is reserved: it holds the name of the metric")
	errTagTwice      = badLine(storage.ReasonDuplicateLabel, "duplicate tags")
	errNoFields      = badLine(storage.ReasonBadValue, "missing fields")
	errFieldKey      = badLine(storage.ReasonBadValue, "missing field key")
	errFieldValue    = badLine(storage.ReasonBadValue, "missing field value")
	errFieldFormat   = badLine(storage.ReasonBadValue, "invalid field format")
	errTooManyFields = badLine(storage.ReasonLimit, fmt.Sprintf("too many fields, limit is %d", maxLineFields))
	errQuotes        = badLine(storage.ReasonBadValue, "unbalanced quotes")
	errTimestamp     = badLine(storage.ReasonBadTime, "bad timestamp")
	errTimeRange     = badLine(storage.ReasonBadTime, "time outside range -9223372036854775806 - 9223372036854775806; check the precision")
)

// linePoint is a line split as far as needed to look up its series: keys are still
// escaped. Its slices point into the line.
type linePoint struct {
	key       []byte // measurement,tagset
	fields    []lineField
	timestamp []byte // decimal digits with an optional minus sign; empty if the line has no timestamp
}

type lineField struct {
	key      []byte
	value    float64
	isString bool // the value is a string, which is not stored
}

// trimLine removes the \r of a \r\n, and leading and trailing spaces and tabs.
func trimLine(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	line = trimBlanks(line)
	for len(line) > 0 && isBlank(line[len(line)-1]) {
		line = line[:len(line)-1]
	}
	return line
}

// isBlank reports whether c may precede a line or, after the space that ends a
// part of the line, the next part.
func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func trimBlanks(b []byte) []byte {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	return b
}

// parse splits a trimmed line that is neither empty nor a comment.
func (p *linePoint) parse(line []byte) *lineError {
	p.fields, p.timestamp = p.fields[:0], nil
	n := indexUnescaped(line, ' ')
	if n < 0 {
		return errNoFields
	}
	if p.key = line[:n]; n > maxKeyBytes {
		return badLine(storage.ReasonLimit, fmt.Sprintf("max key length exceeded: %d > %d", n, maxKeyBytes))
	}
	rest := trimBlanks(line[n:])
	for {
		var f lineField
		var err *lineError
		if f, rest, err = parseField(rest); err != nil {
			return err
		}
		if len(p.fields) == maxLineFields {
			return errTooManyFields
		}
		p.fields = append(p.fields, f)
		if len(rest) == 0 || rest[0] != ',' {
			break
		}
		rest = rest[1:]
	}
	p.timestamp = trimBlanks(rest)
	return nil
}

// parseField parses key=value. rest is empty or begins with a comma or a space.
func parseField(b []byte) (f lineField, rest []byte, err *lineError) {
	eq := 0
	for eq < len(b) && b[eq] != '=' && b[eq] != ' ' && b[eq] != ',' {
		if b[eq] == '\\' {
			eq++ // any escaped character, even a backslash, is part of the key
		}
		eq++
	}
	eq = min(eq, len(b))
	switch {
	case eq == 0:
		return f, nil, errFieldKey
	case eq == len(b) || b[eq] != '=' || b[eq-1] == '\\':
		return f, nil, errFieldFormat // InfluxDB 1.x refuses the last case too, as in a\\=1
	case eq+1 == len(b):
		return f, nil, errFieldValue
	}
	f.key, b = b[:eq], b[eq+1:]
	if b[0] == '"' {
		n := closingQuote(b)
		if n < 0 {
			return f, nil, errQuotes
		}
		if n < len(b) && b[n] != ',' && b[n] != ' ' {
			return f, nil, errFieldFormat
		}
		f.isString = true
		return f, b[n:], nil
	}
	n := 0
	for n < len(b) && b[n] != ',' && b[n] != ' ' {
		n++
	}
	if n == 0 {
		return f, nil, errFieldValue
	}
	f.value, err = parseValue(b[:n])
	return f, b[n:], err
}

// closingQuote returns the position after the string at the start of b, negative
// if the string is not closed.
func closingQuote(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch {
		case b[i] == '"':
			return i + 1
		case b[i] == '\\' && i+1 < len(b) && (b[i+1] == '"' || b[i+1] == '\\'):
			i++
		}
	}
	return -1
}

// indexUnescaped returns the index of the first c without a backslash before it,
// or -1.
func indexUnescaped(b []byte, c byte) int {
	for from := 0; ; {
		n := bytes.IndexByte(b[from:], c)
		if n < 0 {
			return -1
		}
		if n += from; n == 0 || b[n-1] != '\\' {
			return n
		}
		from = n + 1
	}
}

package text

import (
	"bytes"

	"tsdb/api/ingest/door"
)

// metricType is the type of a family, by its number in door.MetricTypes.
type metricType uint8

const (
	typeUnknown   metricType = 0
	typeCounter   metricType = 1
	typeHistogram metricType = 3
	typeSummary   metricType = 5
	typeAny       metricType = 255 // a histogram or a summary
)

// hasNumbers reports whether series of the type may have a label that holds a number
// and distinguishes the series of a point.
func (t metricType) hasNumbers() bool { return t == typeHistogram || t == typeSummary }

// isNumberLabel reports whether a label is that number.
func (t metricType) isNumberLabel(name []byte) bool {
	return (t == typeHistogram || t == typeAny) && string(name) == "le" ||
		(t == typeSummary || t == typeAny) && string(name) == "quantile"
}

// hasCreated reports whether points of the type have a series _created, whose value
// is their start timestamp.
func (t metricType) hasCreated() bool {
	return t == typeCounter || t == typeHistogram || t == typeSummary
}

// family is the metric family of the lines that follow its comments. Its texts are
// copies, because a family may go on in the next piece of a body.
type family struct {
	kind        metricType // of the last TYPE, as Prometheus' parser has it
	name        []byte
	typed       bool // TYPE was given for name
	help, unit  []byte
	undescribed bool // the metadata have not been added to a batch yet
}

// comment is a line of metadata.
type comment struct {
	word string // TYPE, HELP or UNIT
	name []byte // of the family
	text []byte // escaped
}

// parseComment splits a line that begins with a hash. ok is false if it is not one of
// metadata.
func parseComment(line []byte) (c comment, ok bool) {
	if len(line) < 2 || !isBlank(line[1]) {
		return comment{}, false
	}
	word, rest := token(line[1:])
	switch string(word) {
	case "TYPE":
		c.word = "TYPE"
	case "HELP":
		c.word = "HELP"
	case "UNIT":
		c.word = "UNIT"
	default:
		return comment{}, false
	}
	if c.name, rest = familyName(trimLeft(rest)); len(c.name) == 0 {
		return comment{}, false
	}
	if len(rest) > 0 {
		c.text = rest[1:] // without the blank
	}
	return c, true
}

// add adds a line of metadata. That of another family begins a new one. A type that
// is not known is ignored.
func (f *family) add(c comment) {
	if !bytes.Equal(c.name, f.name) {
		*f = family{kind: f.kind, name: append(f.name[:0], c.name...), help: f.help[:0], unit: f.unit[:0]}
	}
	f.undescribed = true
	switch c.word {
	case "TYPE":
		if kind, ok := parseType(trim(c.text)); ok {
			f.kind, f.typed = kind, true
		}
	case "HELP":
		if bytes.IndexByte(c.text, '\\') < 0 {
			f.help = append(f.help[:0], c.text...)
		} else {
			f.help, _ = unescape(f.help[:0], c.text)
		}
	case "UNIT":
		f.unit = append(f.unit[:0], trim(c.text)...)
	}
}

// familyName returns the name at the start of the text of a comment, which may be in
// quotes.
func familyName(b []byte) (name, rest []byte) {
	if len(b) > 0 && b[0] == '"' {
		n := closingQuote(b)
		if n < 0 {
			return nil, nil
		}
		_, name := unescape(nil, b[1:n-1])
		return name, b[n:]
	}
	return token(b)
}

// parseType returns the type with the name, in either format.
func parseType(name []byte) (metricType, bool) {
	if string(name) == "untyped" {
		return typeUnknown, true
	}
	for i, known := range door.MetricTypes {
		if string(name) == known {
			return metricType(i), true
		}
	}
	return 0, false
}

// copyFrom makes f equal to g, whose memory it does not share.
func (f *family) copyFrom(g *family) {
	name, help, unit := append(f.name[:0], g.name...), append(f.help[:0], g.help...), append(f.unit[:0], g.unit...)
	*f = *g
	f.name, f.help, f.unit = name, help, unit
}

// createdName reports whether the name is that of the _created series of the family.
func createdName(name []byte) bool { return bytes.HasSuffix(name, createdSuffix) }

var createdSuffix = []byte("_created")

// created is the last start timestamp of the family. It holds for the lines of its
// point before and after it.
type created struct {
	series []byte // as sent; nil = none
	st     int64
}

// startOf returns the start timestamp of a series, 0 if there is none.
func (c *created) startOf(series []byte, kind metricType) int64 {
	if c.series != nil && samePoint(c.series, series, kind) {
		return c.st
	}
	return 0
}

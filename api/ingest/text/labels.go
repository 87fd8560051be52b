package text

import (
	"bytes"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/api/ingest/door"
	"tsdb/storage"
)

// pairs reads the name and the labels of a series from left to right.
type pairs struct {
	b     []byte
	at    int
	brace bool // the labels have begun
	named bool // the name of the metric has been returned
}

// pair is a label, or the name of the metric, whose label is nil. The texts are
// escaped.
type pair struct{ name, value []byte }

// next returns the next label. ok is false at the end, and err is set if it is
// malformed.
func (p *pairs) next() (l pair, ok bool, err error) {
	if p.at == 0 {
		n := 0
		for n < len(p.b) && isNameByte(p.b[n], n == 0) {
			n++
		}
		if p.at = n; n > 0 {
			p.named = true
			return pair{nil, p.b[:n]}, true, nil
		}
	}
	p.space()
	if !p.brace {
		if p.at == len(p.b) {
			return pair{}, false, nil
		}
		if !p.take('{') {
			return pair{}, false, p.bad("the name of the metric")
		}
		p.brace = true
	}
	if p.take('}') {
		if p.at != len(p.b) {
			return pair{}, false, p.bad("the end of the labels")
		}
		return pair{}, false, nil
	}
	quoted := p.at < len(p.b) && p.b[p.at] == '"'
	name, ok := p.name()
	if !ok {
		return pair{}, false, p.bad("the name of a label")
	}
	if p.space(); quoted && p.at < len(p.b) && (p.b[p.at] == ',' || p.b[p.at] == '}') {
		if p.named {
			return pair{}, false, p.bad("a second name of the metric")
		}
		p.named = true
		p.comma()
		return pair{nil, name}, true, nil
	}
	if !p.take('=') {
		return pair{}, false, p.bad("the = after the name of a label")
	}
	p.space()
	value, ok := p.string()
	if !ok {
		return pair{}, false, p.bad("the quoted value of a label")
	}
	p.comma() // as in Prometheus' parser it may be missing, also behind the last label
	return pair{name, value}, true, nil
}

func (p *pairs) space() {
	for p.at < len(p.b) && isBlank(p.b[p.at]) {
		p.at++
	}
}

func (p *pairs) take(c byte) bool {
	p.space()
	if p.at < len(p.b) && p.b[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *pairs) comma() { p.take(',') }

// name returns a name, bare or in quotes.
func (p *pairs) name() ([]byte, bool) {
	if p.at < len(p.b) && p.b[p.at] == '"' {
		return p.string()
	}
	from := p.at
	for p.at < len(p.b) && p.b[p.at] != ':' && isNameByte(p.b[p.at], p.at == from) {
		p.at++
	}
	return p.b[from:p.at], p.at > from
}

// string returns the content of the string at the position.
func (p *pairs) string() ([]byte, bool) {
	if p.at == len(p.b) || p.b[p.at] != '"' {
		return nil, false
	}
	n := closingQuote(p.b[p.at:])
	if n < 0 {
		return nil, false
	}
	from := p.at + 1
	p.at += n
	return p.b[from : p.at-1], true
}

func (p *pairs) bad(what string) error {
	return &storage.Reject{Reason: storage.ReasonBadLabel, Detail: "malformed series: no " + what + " at byte " + strconv.Itoa(p.at) + " of " + excerpt(p.b)}
}

// isNameByte reports whether c may be in a name that is not quoted; a colon only in
// that of a metric.
func isNameByte(c byte, first bool) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':' || !first && c >= '0' && c <= '9'
}

// addLabels adds the labels of a series to an empty set. kind is the type of the
// metric. Unescaped text is stored in scratch, which is returned and must not be
// modified while the set is in use.
func addLabels(set *door.LabelSet, series []byte, kind metricType, scratch []byte) ([]byte, error) {
	// Allocated once, so that the slices in the set stay valid.
	if need := len(series) + maxFloatText; cap(scratch) < need {
		scratch = make([]byte, 0, 2*need)
	}
	scratch = scratch[:0]
	p := pairs{b: series}
	for {
		l, ok, err := p.next()
		if err != nil {
			return scratch, err
		}
		if !ok {
			break
		}
		var name, value []byte
		if scratch, value = unescape(scratch, l.value); l.name == nil {
			set.Add(door.MetricName, value)
			continue
		}
		scratch, name = unescape(scratch, l.name)
		if kind.isNumberLabel(name) {
			scratch, value = normalize(scratch, value)
		}
		set.Add(name, value)
	}
	return scratch, nil
}

// unescape returns a text without its escapes, which it appends to scratch if it has
// some. A backslash before another character stays.
func unescape(scratch, b []byte) (_, text []byte) {
	if bytes.IndexByte(b, '\\') < 0 {
		return scratch, b
	}
	from := len(scratch)
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\\' && i+1 < len(b) {
			switch b[i+1] {
			case 'n':
				c = '\n'
				i++
			case '\\', '"':
				c = b[i+1]
				i++
			}
		}
		scratch = append(scratch, c)
	}
	return scratch, scratch[from:]
}

// maxFloatText bounds the text of a float.
const maxFloatText = 32

// normalize returns the value of a label that holds a number in the form of
// OpenMetrics, as Prometheus does: 1 becomes 1.0.
func normalize(scratch, value []byte) (_, text []byte) {
	v, err := strconv.ParseFloat(string(value), 64)
	if err != nil {
		return scratch, value
	}
	from := len(scratch)
	scratch = append(scratch, labels.FormatOpenMetricsFloat(v)...)
	return scratch, scratch[from:]
}

// samePoint reports whether two series, as sent, are parts of the same point of a
// family: they have the same labels in the same order, but for the one that the type
// of the metric adds.
func samePoint(a, b []byte, kind metricType) bool {
	p, q := pairs{b: a}, pairs{b: b}
	for {
		x, more := nextOfPoint(&p, kind)
		y, moreToo := nextOfPoint(&q, kind)
		if more != moreToo || !more {
			return more == moreToo
		}
		if !bytes.Equal(x.name, y.name) || !bytes.Equal(x.value, y.value) {
			return false
		}
	}
}

func nextOfPoint(p *pairs, kind metricType) (pair, bool) {
	for {
		l, ok, err := p.next()
		if !ok || err != nil {
			return pair{}, false
		}
		if l.name != nil && !kind.isNumberLabel(l.name) {
			return l, true
		}
	}
}

// nameOf returns the name of the metric of a series, as sent.
func nameOf(series []byte) []byte {
	p := pairs{b: series}
	for {
		l, ok, err := p.next()
		if !ok || err != nil {
			return nil
		}
		if l.name == nil {
			return l.value
		}
	}
}

package jsonl

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"tsdb/encoding"
	"tsdb/internal/decimal"
	"tsdb/internal/model"
)

// A Line is one line, split but not decoded. Its slices are parts of the line.
type Line struct {
	Metric     []byte // the object of the labels
	values     []byte // arrays, with their brackets; nil if they are absent
	timestamps []byte
	starts     []byte
	histograms []byte
}

// ErrLine is returned for what is no line of samples.
var ErrLine = errors.New("not a line of samples")

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrLine, fmt.Sprintf(format, args...))
}

// Split finds the members of a line.
func (l *Line) Split(line []byte) error {
	*l = Line{}
	if l.splitUsual(line) {
		return nil
	}
	return l.splitAny(line)
}

// splitAny is Split for lines of any form.
func (l *Line) splitAny(line []byte) error {
	*l = Line{}
	p := scanner{b: line}
	if !p.take('{') {
		return bad("it does not begin with {")
	}
	for n := 0; ; n++ {
		if p.take('}') {
			break
		}
		if n > 0 && !p.take(',') {
			return bad("no comma at byte %d", p.at)
		}
		name, ok := p.value()
		if !ok || len(name) < 2 || name[0] != '"' || !p.take(':') {
			return bad("no name of a member at byte %d", p.at)
		}
		p.space()
		value, ok := p.value()
		if !ok {
			return bad("no value of %s at byte %d", clip(name), p.at)
		}
		switch string(name) {
		case `"metric"`:
			l.Metric = value
		case `"values"`:
			l.values = value
		case `"timestamps"`:
			l.timestamps = value
		case `"starts"`:
			l.starts = value
		case `"histograms"`:
			l.histograms = value
		}
	}
	if p.space(); p.at < len(line) {
		return bad("%d bytes behind the object", len(line)-p.at)
	}
	switch {
	case l.Metric == nil || l.Metric[0] != '{':
		return bad("it has no metric")
	case (l.values == nil) == (l.histograms == nil):
		return bad("it has no values, or values and histograms")
	case l.timestamps == nil:
		return bad("it has no timestamps")
	}
	return nil
}

// splitUsual is Split for lines as they are usually written: members in this order, without
// blanks, no brace in a label. It returns false for all others. The first brace ends the
// labels, if this member follows it: within a string, its quote would end the string.
func (l *Line) splitUsual(line []byte) bool {
	const metric, values, timestamps, end = `{"metric":`, `},"values":[`, `],"timestamps":[`, `]}`
	if !hasPrefix(line, metric+"{") {
		return false
	}
	line = line[len(metric):]
	n := bytes.IndexByte(line, '}')
	if n < 0 || !hasPrefix(line[n:], values) {
		return false
	}
	l.Metric, line = line[:n+1], line[n+len(values)-1:]
	if n = bytes.IndexByte(line, ']'); n < 0 || !hasPrefix(line[n:], timestamps) {
		return false
	}
	l.values, line = line[:n+1], line[n+len(timestamps)-1:]
	n = bytes.IndexByte(line, ']')
	l.timestamps = line[:n+1]
	return n >= 0 && string(line[n:]) == end
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// Labels passes the labels to add, in the order of the line. The strings may be
// retained.
func (l *Line) Labels(add func(name, value string)) error {
	p := scanner{b: l.Metric, at: 1}
	for n := 0; !p.take('}'); n++ {
		if n > 0 && !p.take(',') {
			return bad("metric: no comma at byte %d", p.at)
		}
		name, err := p.text()
		if err != nil {
			return err
		}
		if !p.take(':') {
			return bad("metric: no colon at byte %d", p.at)
		}
		value, err := p.text()
		if err != nil {
			return err
		}
		add(name, value)
	}
	return nil
}

// Samples appends the samples to dst. On an error dst may have some of them.
func (l *Line) Samples(dst *model.Samples) error {
	from := dst.Len()
	if l.starts == nil && l.values != nil && dst.IsPlain() {
		if l.numbers(dst) {
			return nil
		}
		dst.Truncate(from)
	}
	return l.anySamples(dst)
}

// anySamples is Samples for lines of any form.
func (l *Line) anySamples(dst *model.Samples) error {
	from := dst.Len()
	times := list{scanner{b: l.timestamps}}
	starts := list{scanner{b: l.starts}}
	rows := list{scanner{b: l.values}}
	if l.histograms != nil {
		rows = list{scanner{b: l.histograms}}
	}
	for {
		item, more, err := rows.next()
		if err != nil {
			return err
		}
		at, moreTimes, err := times.next()
		if err != nil {
			return err
		}
		var start []byte
		if l.starts != nil {
			moreStarts := false
			if start, moreStarts, err = starts.next(); err != nil || moreStarts != more {
				return bad("%d starts or more, and another number of values", dst.Len()-from)
			}
		}
		if more != moreTimes {
			return bad("%d timestamps or more, and another number of values", dst.Len()-from)
		}
		if !more {
			return nil
		}
		t, err := parseTime(at)
		if err != nil {
			return err
		}
		st := int64(0)
		if start != nil {
			if st, err = parseTime(start); err != nil {
				return err
			}
		}
		if l.histograms != nil {
			h, err := parseHistogram(item)
			if err != nil {
				return err
			}
			dst.Append(t, st, 0, h)
			continue
		}
		v, err := parseValue(item)
		if err != nil {
			return err
		}
		if st == 0 && dst.IsPlain() {
			dst.T, dst.V = append(dst.T, t), append(dst.V, v)
		} else {
			dst.Append(t, st, v, model.Histogram{})
		}
	}
}

// numbers is Samples for lines of plain numbers without blanks. It returns false for all
// others, of which dst may have some samples then.
func (l *Line) numbers(dst *model.Samples) bool {
	vs, ts := l.values, l.timestamps
	if vs[0] != '[' || ts[0] != '[' {
		return false
	}
	for more := true; more; {
		v, n, err := decimal.Leading(vs[1:])
		t, m, timeErr := decimal.LeadingInt(ts[1:])
		const maxDigits = 17 // of a time, so that it is exact in every form
		if err != nil || timeErr != nil || m > maxDigits || n+1 == len(vs) || m+1 == len(ts) || vs[n+1] != ts[m+1] {
			return false
		}
		dst.T, dst.V = append(dst.T, t), append(dst.V, v)
		vs, ts = vs[n+1:], ts[m+1:]
		more = vs[0] == ','
	}
	return string(vs) == "]" && string(ts) == "]"
}

// Rows returns the number of values or histograms.
func (l *Line) Rows() int {
	rows := l.values
	if l.histograms != nil {
		rows = l.histograms
	}
	n := bytes.Count(rows, []byte{','})
	if n == 0 && len(bytes.TrimSpace(rows)) <= 2 {
		return 0
	}
	return n + 1
}

// parseTime parses an integer, or a number with an integral value.
func parseTime(b []byte) (int64, error) {
	if len(b) > 0 && len(b) < 18 {
		n, neg, i := int64(0), b[0] == '-', 0
		if neg {
			i = 1
		}
		for ; i < len(b) && b[i]-'0' < 10; i++ {
			n = n*10 + int64(b[i]-'0')
		}
		if i == len(b) && i > 0 && b[i-1] != '-' {
			if neg {
				n = -n
			}
			return n, nil
		}
	}
	v, err := strconv.ParseFloat(asString(b), 64)
	if err != nil || v != math.Trunc(v) || math.Abs(v) > 1<<62 {
		return 0, bad("timestamp %s is no number of milliseconds", clip(b))
	}
	return int64(v), nil
}

func parseValue(b []byte) (float64, error) {
	if len(b) == 0 {
		return 0, bad("a value is missing")
	}
	if c := b[0]; c-'0' < 10 && len(b) < 16 { // a short integer is exact
		n, i := int64(0), 0
		for ; i < len(b) && b[i]-'0' < 10; i++ {
			n = n*10 + int64(b[i]-'0')
		}
		if i == len(b) {
			return float64(n), nil
		}
	}
	switch b[0] {
	case 'n':
		if string(b) == "null" {
			return math.Float64frombits(goNaN), nil
		}
	case '"':
		return parseSpecial(b)
	default:
		if v, err := decimal.Parse(b); err == nil {
			return v, nil
		}
		if v, err := strconv.ParseFloat(asString(b), 64); err == nil {
			return v, nil
		}
	}
	return 0, bad("value %s is no number", clip(b))
}

// parseSpecial parses a value in quotes.
func parseSpecial(b []byte) (float64, error) {
	s := strings.Trim(string(b), `"`)
	switch strings.ToLower(s) {
	case "infinity", "+infinity", "inf", "+inf":
		return math.Inf(1), nil
	case "-infinity", "-inf":
		return math.Inf(-1), nil
	case "nan", "null":
		return math.Float64frombits(goNaN), nil
	}
	if digits, ok := strings.CutPrefix(s, "NaN:"); ok {
		bits, err := strconv.ParseUint(digits, 16, 64)
		if v := math.Float64frombits(bits); err == nil && v != v {
			return v, nil
		}
	} else if v, err := strconv.ParseFloat(s, 64); err == nil {
		return v, nil
	}
	return 0, bad("value %s is no number", clip(b))
}

func parseHistogram(b []byte) (model.Histogram, error) {
	var raw []byte
	var err error
	if len(b) >= 2 && b[0] == '"' {
		raw, err = base64.StdEncoding.AppendDecode(nil, b[1:len(b)-1])
	} else {
		err = errors.New("it is no string")
	}
	if err == nil {
		var h model.Histogram
		var rest []byte
		if h, rest, err = encoding.DecodeHistogram(raw); err == nil && len(rest) == 0 && !h.IsZero() {
			return h, nil
		}
	}
	return model.Histogram{}, bad("histogram %s: %v", clip(b), err)
}

// list iterates over the items of an array of numbers and strings.
type list struct{ scanner }

func (l *list) next() (item []byte, more bool, err error) {
	p := &l.scanner
	switch {
	case p.at == 0 && !p.take('['):
		return nil, false, bad("no array")
	case p.at > 1:
		if p.take(']') {
			return nil, false, p.end()
		}
		if !p.take(',') {
			return nil, false, bad("no comma at byte %d of an array", p.at)
		}
		p.space()
	case p.take(']'):
		return nil, false, p.end()
	}
	from := p.at
	if from < len(p.b) && p.b[from] == '"' {
		item, ok := p.value()
		if !ok {
			return nil, false, bad("a string in an array is not closed")
		}
		return item, true, nil
	}
	for p.at < len(p.b) && p.b[p.at] != ',' && p.b[p.at] != ']' && p.b[p.at] > ' ' {
		p.at++
	}
	if p.at == from {
		return nil, false, bad("an item of an array is missing at byte %d", from)
	}
	return p.b[from:p.at], true, nil
}

// scanner reads JSON from left to right.
type scanner struct {
	b  []byte
	at int
}

func (p *scanner) space() {
	for p.at < len(p.b) && (p.b[p.at] == ' ' || p.b[p.at] == '\t' || p.b[p.at] == '\r' || p.b[p.at] == '\n') {
		p.at++
	}
}

// take skips blanks and c, if c is next.
func (p *scanner) take(c byte) bool {
	p.space()
	if p.at < len(p.b) && p.b[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *scanner) end() error {
	if p.space(); p.at < len(p.b) {
		return bad("%d bytes behind an array", len(p.b)-p.at)
	}
	return nil
}

// value returns the value at the position: a string with its quotes, an object or an
// array with its brackets, or a word.
func (p *scanner) value() ([]byte, bool) {
	p.space()
	from, depth := p.at, 0
	for p.at < len(p.b) {
		switch c := p.b[p.at]; c {
		case '"':
			n := closingQuote(p.b[p.at:])
			if n < 0 {
				return nil, false
			}
			p.at += n
			if depth == 0 {
				return p.b[from:p.at], true
			}
			continue
		case '{', '[':
			depth++
			if c == '[' { // most of a line: numbers
				p.at += numbers(p.b[p.at+1:])
			} else { // or labels
				p.at += plainStrings(p.b[p.at+1:])
			}
		case '}', ']':
			if depth == 0 {
				return p.b[from:p.at], p.at > from
			}
			if depth--; depth == 0 {
				p.at++
				return p.b[from:p.at], true
			}
		case ',', ':', ' ':
			if depth == 0 {
				return p.b[from:p.at], p.at > from
			}
		}
		p.at++
	}
	return p.b[from:], depth == 0 && p.at > from
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
		if from = end + 1; slashes%2 == 0 {
			return from
		}
	}
}

// numbers returns the length of an array's content up to its bracket, 0 if there is
// anything but numbers and words in it. It looks no further than numbersStep bytes
// behind what is not, so that brackets in brackets take linear time.
func numbers(b []byte) int {
	const short = 24 // of one number
	for i := range min(len(b), short) {
		switch b[i] {
		case ']':
			return i
		case '"', '[', '{', '}':
			return 0
		}
	}
	for from := 0; from < len(b); from += numbersStep {
		part := b[from:min(from+numbersStep, len(b))]
		n := bytes.IndexByte(part, ']')
		if n >= 0 {
			part = part[:n]
		}
		for _, c := range [...]byte{'"', '[', '{', '}'} {
			if bytes.IndexByte(part, c) >= 0 {
				return 0
			}
		}
		if n >= 0 {
			return from + n
		}
	}
	return 0
}

const numbersStep = 256

// plainStrings returns the length of an object's content up to its brace, 0 if it is
// long, or there may be anything but strings without escapes in it: then the first brace
// with an even number of quotes before it is outside of strings.
func plainStrings(b []byte) int {
	b = b[:min(len(b), plainMax)]
	n := bytes.IndexByte(b, '}')
	if n < 0 {
		return 0
	}
	for _, c := range [...]byte{'\\', '{', '[', ']'} {
		if bytes.IndexByte(b[:n], c) >= 0 {
			return 0
		}
	}
	if bytes.Count(b[:n], []byte{'"'})%2 != 0 {
		return 0
	}
	return n
}

const plainMax = 1 << 10

// text returns the content of the string at the position.
func (p *scanner) text() (string, error) {
	b, ok := p.value()
	if !ok || len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' {
		return "", bad("metric: no string at byte %d", p.at)
	}
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b[1 : len(b)-1]), nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return "", bad("metric: %v", err)
	}
	return s, nil
}

func clip(b []byte) string {
	const maxBytes = 60
	if len(b) > maxBytes {
		return string(bytes.ToValidUTF8(b[:maxBytes], nil)) + "…"
	}
	return string(bytes.ToValidUTF8(b, nil))
}

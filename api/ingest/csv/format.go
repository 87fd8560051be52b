package csv

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"tsdb/api/ingest/door"
	"tsdb/internal/decimal"
)

// maxColumns bounds the columns of a line that a format may name.
const maxColumns = 1000

// format describes the columns of lines.
type format struct {
	metrics, labels []column
	time            int // index of the column, -1 = none
	parseTime       func(b []byte) (ms int64, ok bool)
	columns         int // of a line that are read

	// The columns labelsFrom ≤ k < labelsTo are labels, and there are no others; both 0
	// unless the labels follow each other.
	labelsFrom, labelsTo int
}

// column is a column with the name of its metric or label.
type column struct {
	at   int // index
	name []byte
}

// parseFormat parses the parameter format: POSITION:TYPE:CONTEXT, separated by
// commas. TYPE is metric or label, CONTEXT its name, or time, CONTEXT its form.
func parseFormat(text string) (*format, error) {
	bad := func(form string, args ...any) (*format, error) {
		return nil, fmt.Errorf(form, args...)
	}
	if text == "" {
		return bad(`it names the columns, as in "1:time:unix_s,2:label:host,3:metric:temperature"`)
	}
	f := &format{time: -1}
	for _, part := range strings.Split(text, ",") {
		words := strings.SplitN(part, ":", 3)
		position, err := strconv.Atoi(words[0])
		if len(words) < 3 || err != nil || words[2] == "" {
			return bad("column %q, want POSITION:TYPE:CONTEXT", door.Clip(part, 80))
		}
		if position < 1 || position > maxColumns {
			return bad("position %d, want 1 to %d", position, maxColumns)
		}
		c := column{position - 1, []byte(words[2])}
		f.columns = max(f.columns, position)
		switch words[1] {
		case "metric":
			f.metrics = append(f.metrics, c)
		case "label":
			f.labels = append(f.labels, c)
		case "time":
			if f.time >= 0 {
				return bad("two columns are times")
			}
			if f.time, f.parseTime = c.at, timeParser(words[2]); f.parseTime == nil {
				return bad("time %q, want unix_s, unix_ms, unix_us, unix_ns, rfc3339 or custom:LAYOUT", door.Clip(words[2], 80))
			}
		default:
			return bad("type %q, want metric, label or time", door.Clip(words[1], 80))
		}
	}
	if len(f.metrics) == 0 {
		return bad("no column is a metric")
	}
	if len(f.metrics)+len(f.labels) > maxColumns {
		return bad("more than %d columns", maxColumns)
	}
	f.findLabels()
	return f, nil
}

// findLabels sets where the labels are, if they follow each other.
func (f *format) findLabels() {
	if len(f.labels) == 0 {
		return
	}
	for i, l := range f.labels {
		if l.at != f.labels[0].at+i {
			return
		}
	}
	f.labelsFrom = f.labels[0].at
	f.labelsTo = f.labelsFrom + len(f.labels)
}

// timeParser returns the parser of a form of times, nil if there is none.
func timeParser(form string) func(b []byte) (ms int64, ok bool) {
	switch form {
	case "unix_s":
		return func(b []byte) (int64, bool) { return unixTime(b, 1000, 1) }
	case "unix_ms":
		return func(b []byte) (int64, bool) { return unixTime(b, 1, 1) }
	case "unix_us":
		return func(b []byte) (int64, bool) { return unixTime(b, 1, 1000) }
	case "unix_ns":
		return func(b []byte) (int64, bool) { return unixTime(b, 1, 1_000_000) }
	case "rfc3339":
		return func(b []byte) (int64, bool) { return parseWith(time.RFC3339, b) }
	}
	if layout, ok := strings.CutPrefix(form, "custom:"); ok && layout != "" {
		return func(b []byte) (int64, bool) { return parseWith(layout, b) }
	}
	return nil
}

// unixTime parses a number of units, of which per make numerator milliseconds.
// Fractions of milliseconds are rounded down.
func unixTime(b []byte, numerator, per int64) (ms int64, ok bool) {
	n, err := decimal.Int(b)
	if err == nil && n <= math.MaxInt64/numerator && n >= math.MinInt64/numerator {
		ms = n * numerator / per
		if n < 0 && n*numerator%per != 0 {
			ms--
		}
		return ms, true
	}
	v, err := decimal.ParseAny(b)
	v = math.Floor(v * float64(numerator) / float64(per))
	if err != nil || !(v > -1<<63 && v < 1<<63) {
		return 0, false
	}
	return int64(v), true
}

func parseWith(layout string, b []byte) (ms int64, ok bool) {
	t, err := time.Parse(layout, string(b))
	return t.UnixMilli(), err == nil
}

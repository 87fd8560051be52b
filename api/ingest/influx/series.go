package influx

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"tsdb/api/ingest/door"
	"tsdb/storage"
)

// dbLabel is the label that holds the database or bucket of a request.
type dbLabel struct{ name, value []byte } // empty value = no label

// The characters that a backslash escapes, as in InfluxDB 1.x. In the name of a
// measurement or a field these include the double quote.
const (
	nameEscapes = `," =`
	tagEscapes  = ", ="
)

// addLabels parses the key of a line and the key of one of its fields, and adds
// their labels to an empty set. Unescaped text is stored in scratch, which is
// returned and must not be modified while the set is in use.
func addLabels(set *door.LabelSet, n *Naming, key, field []byte, db dbLabel, scratch []byte) ([]byte, *lineError) {
	// Allocated once, so that the slices in the set stay valid. A name may grow by an
	// underscore, where the key has a comma or the separator's bytes.
	if need := 2*(len(key)+len(field)) + len(n.Separator) + 2; cap(scratch) < need {
		scratch = make([]byte, 0, 2*need)
	}
	scratch = scratch[:0]
	if !validText(key) || !validText(field) {
		return scratch, badLine(storage.ReasonInvalidUTF8, "invalid UTF-8 or NUL")
	}
	measurement, tags := measurementOf(key), []byte(nil)
	hasTags := len(measurement) < len(key)
	if hasTags {
		tags = key[len(measurement)+1:]
	}
	if len(measurement) == 0 {
		return scratch, errNoMeasurement
	}
	scratch = appendUnescaped(scratch, measurement, nameEscapes)
	mid := len(scratch)
	scratch = appendUnescaped(scratch, field, nameEscapes)
	from := len(scratch)
	scratch = n.appendMetric(scratch, scratch[:mid], scratch[mid:from])
	set.Add(door.MetricName, scratch[from:])

	addDB := len(db.value) > 0
	for hasTags {
		tag := tags
		if n := indexUnescaped(tags, ','); n >= 0 {
			tag, tags = tags[:n], tags[n+1:]
		} else {
			hasTags = false
		}
		eq := indexUnescaped(tag, '=')
		switch {
		case eq == 0 || len(tag) == 0:
			return scratch, errTagKey
		case eq < 0 || eq+1 == len(tag):
			return scratch, errTagValue
		}
		// As in InfluxDB 1.x, the value itself may begin with an equals sign.
		if indexUnescaped(tag[eq+1:], '=') > 0 || tag[eq+1] == '=' && indexUnescaped(tag[eq+2:], '=') >= 0 {
			return scratch, errTagFormat
		}
		var name, value []byte
		from = len(scratch)
		scratch = appendUnescaped(scratch, tag[:eq], tagEscapes)
		scratch = append(scratch[:from], n.Names.Label(scratch[from:])...)
		name, from = scratch[from:], len(scratch)
		scratch = appendUnescaped(scratch, tag[eq+1:], tagEscapes)
		value = scratch[from:]
		switch string(name) {
		case "time":
			return scratch, errTagTime
		case string(door.MetricName):
			return scratch, errTagReserved
		}
		if addDB && bytes.Equal(name, db.name) {
			addDB = false
		}
		set.Add(name, value)
	}
	if addDB {
		set.Add(db.name, db.value)
	}
	return scratch, nil
}

func validText(b []byte) bool { return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }

// appendUnescaped appends b without the backslashes that precede a special
// character. Other backslashes are literal.
func appendUnescaped(dst, b []byte, special string) []byte {
	for {
		n := bytes.IndexByte(b, '\\')
		if n < 0 || n+1 == len(b) {
			return append(dst, b...)
		}
		dst = append(dst, b[:n]...)
		if strings.IndexByte(special, b[n+1]) >= 0 {
			n++
			dst = append(dst, b[n])
		} else {
			dst = append(dst, '\\')
		}
		b = b[n+1:]
	}
}

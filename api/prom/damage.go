package prom

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/util/annotations"
)

// Remote read and federation have no place for warnings. Where data is damaged
// they answer with an error, unless the request says partial_response=true: then
// they give what can be read, and say what could not in a header, or in a
// trailer if it comes to light when a part of the answer is out.
const (
	partialParam  = "partial_response"
	warningHeader = "X-Tsdb-Warning"
)

// A damageReport decides what becomes of an answer that damage has made short.
type damageReport struct {
	partial bool
	told    map[string]bool
}

func newDamageReport(r *http.Request) (*damageReport, error) {
	d := &damageReport{told: make(map[string]bool)}
	switch s := r.URL.Query().Get(partialParam); s {
	case "":
	default:
		var err error
		if d.partial, err = strconv.ParseBool(s); err != nil {
			return nil, fmt.Errorf("invalid parameter %q: %q is neither true nor false", partialParam, s)
		}
	}
	return d, nil
}

// check returns an error if there are warnings and the request does not want
// what is left.
func (d *damageReport) check(warnings annotations.Annotations) error {
	if len(warnings) == 0 {
		return nil
	}
	texts, _ := warnings.AsStrings("", maxAnnotations, 0)
	if !d.partial {
		slices.Sort(texts)
		return fmt.Errorf("data is damaged and the answer would be incomplete: %s (%s=true asks for what can be read)", texts[0], partialParam)
	}
	for _, text := range texts {
		if len(d.told) < maxAnnotations {
			d.told[strings.Join(strings.Fields(text), " ")] = true // in one line
		}
	}
	return nil
}

// write says in the header what was met so far.
func (d *damageReport) write(h http.Header) { d.writeTo(h, warningHeader) }

// writeTrailer says it behind an answer that is out in part.
func (d *damageReport) writeTrailer(h http.Header) { d.writeTo(h, http.TrailerPrefix+warningHeader) }

func (d *damageReport) writeTo(h http.Header, name string) {
	for _, text := range slices.Sorted(maps.Keys(d.told)) {
		h.Add(name, text)
	}
}

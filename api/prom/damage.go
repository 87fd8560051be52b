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

// Responses of remote read and federation have no warnings. If data is damaged
// they are errors, unless the request has partial_response=true: then they hold
// the readable data, and a header lists the warnings, or a trailer if a part of
// the response has been sent already.
const (
	partialParam  = "partial_response"
	warningHeader = "X-Tsdb-Warning"
)

// damageReport collects the warnings of a response that damage makes incomplete.
type damageReport struct {
	partial  bool
	warnings map[string]bool
}

func newDamageReport(r *http.Request) (*damageReport, error) {
	d := &damageReport{warnings: make(map[string]bool)}
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

// check returns an error if there are warnings and the request does not accept a
// partial response.
func (d *damageReport) check(warnings annotations.Annotations) error {
	if len(warnings) == 0 {
		return nil
	}
	texts, _ := warnings.AsStrings("", maxAnnotations, 0)
	if !d.partial {
		slices.Sort(texts)
		return fmt.Errorf("data is damaged and the response would be incomplete: %s (use %s=true for a partial response)", texts[0], partialParam)
	}
	for _, text := range texts {
		if len(d.warnings) < maxAnnotations {
			d.warnings[strings.Join(strings.Fields(text), " ")] = true // in one line
		}
	}
	return nil
}

// write adds the warnings to the header.
func (d *damageReport) write(h http.Header) { d.writeTo(h, warningHeader) }

// writeTrailer adds the warnings to the trailer of a partly sent response.
func (d *damageReport) writeTrailer(h http.Header) { d.writeTo(h, http.TrailerPrefix+warningHeader) }

func (d *damageReport) writeTo(h http.Header, name string) {
	for _, text := range slices.Sorted(maps.Keys(d.warnings)) {
		h.Add(name, text)
	}
}

package crash

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/model"
)

// key identifies a sample.
type key struct {
	series string
	t      int64
}

// write is a sample sent by a client. value is a text that keeps every bit.
type write struct {
	key
	value string
	stale bool
}

// A cell is the ledger's entry of one key.
type cell struct {
	sure  string          // the value that must be found, "" if none
	stale bool            // sure is a stale marker
	maybe map[string]bool // values of writes that were never answered, or with an error
}

// ledger records the samples acknowledged, and those sent but not acknowledged.
type ledger map[key]cell

func (l ledger) clone() ledger {
	c := make(ledger, len(l))
	for k, v := range l {
		v.maybe = maps.Clone(v.maybe)
		c[k] = v
	}
	return c
}

// acknowledged records the writes of a request that was answered with success.
func (l ledger) acknowledged(ws []write) {
	for _, w := range ws {
		c := l[w.key]
		switch {
		case w.stale && c.sure != "" && !c.stale: // a number stays
			continue
		case w.stale:
			c.sure, c.stale = w.value, true
		default:
			c = cell{sure: w.value}
		}
		l[w.key] = c
	}
}

// doubtful records the writes of a request whose outcome is unknown.
func (l ledger) doubtful(ws []write) {
	for _, w := range ws {
		c := l[w.key]
		if w.stale && c.sure != "" && !c.stale {
			continue
		}
		if c.maybe == nil {
			c.maybe = make(map[string]bool)
		}
		c.maybe[w.value] = true
		l[w.key] = c
	}
}

// compare describes the differences between the ledger and the samples found:
// acknowledged samples that are missing or have another value, and samples that were
// never sent. Samples before oldest may be missing.
func (l ledger) compare(found map[key]string, oldest int64) error {
	var wrong []string
	for k, c := range l {
		got, ok := found[k]
		switch {
		case !ok && c.sure != "" && k.t >= oldest:
			wrong = append(wrong, fmt.Sprintf("lost: %s @%d = %s", k.series, k.t, c.sure))
		case ok && got != c.sure && !c.maybe[got]:
			wrong = append(wrong, fmt.Sprintf("wrong: %s @%d = %s, want %s or one of %d unanswered", k.series, k.t, got, c.sure, len(c.maybe)))
		}
	}
	for k, v := range found {
		if _, ok := l[k]; !ok {
			wrong = append(wrong, fmt.Sprintf("garbage: %s @%d = %s", k.series, k.t, v))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return fmt.Errorf("%d of %d samples: %s", len(wrong), len(l), strings.Join(wrong[:min(len(wrong), 5)], "; "))
}

func renderFloat(v float64) string { return fmt.Sprintf("%016x", math.Float64bits(v)) }

func renderAt(s *model.Samples, i int) string {
	switch h := s.HistogramAt(i); {
	case h.Int != nil:
		return "histogram " + h.Int.String()
	case h.Float != nil:
		return "float histogram " + h.Float.String()
	}
	return renderFloat(s.V[i])
}

var staleMarker = math.Float64frombits(value.StaleNaN)

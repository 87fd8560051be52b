package door

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"tsdb/internal/decimal"
	"tsdb/internal/model"
)

// ExtraLabel is the parameter of a write that adds a label to all of its series, in
// the form name=value, as in VictoriaMetrics.
const ExtraLabel = "extra_label"

// maxExtraLabels bounds the labels that a request adds.
const maxExtraLabels = 64

// A Label is a label that a request adds to its series, in the place of theirs of
// the same name.
type Label struct{ Name, Value string }

// ExtraLabels returns the labels of the parameters named ExtraLabel.
func ExtraLabels(r *http.Request) ([]Label, error) {
	if !strings.Contains(r.URL.RawQuery, "extra") { // most requests have none
		return nil, nil
	}
	var all []Label
	for _, text := range r.URL.Query()[ExtraLabel] {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, &RequestError{Text: fmt.Sprintf("invalid parameter %q: want name=value, got %q", ExtraLabel, Clip(text, MaxExcerptBytes))}
		}
		if all = append(all, Label{name, value}); len(all) > maxExtraLabels {
			return nil, &RequestError{Text: fmt.Sprintf("more than %d parameters %q", maxExtraLabels, ExtraLabel)}
		}
	}
	return all, nil
}

// AddLabels sets the labels that are added to all series of the request. A label
// with an empty value removes that of the series. The labels must not change until
// Release.
func (r *Request[D]) AddLabels(extra []Label) {
	r.Batch.Labels.extra = extra
	r.reseed()
}

// setExtra adds the extra labels to the set, in the place of labels of their names.
func (s *LabelSet) setExtra() {
	for _, l := range s.extra {
		name, value := []byte(l.Name), []byte(l.Value)
		kept := s.pairs[:0]
		for _, p := range s.pairs {
			if !bytes.Equal(p.name, name) {
				kept = append(kept, p)
			}
		}
		s.pairs = append(kept, labelPair{name, value})
	}
}

// DefaultTime returns the time of the samples of a request that have none: the
// parameter timestamp, in Unix milliseconds, or the time of arrival.
func (s *Shared) DefaultTime(r *http.Request) (int64, error) {
	text := r.URL.Query().Get("timestamp")
	if text == "" {
		return s.Clock.Now().UnixMilli(), nil
	}
	t, err := decimal.Int([]byte(text))
	if err != nil || !model.ValidTime(t) {
		return 0, &RequestError{Text: fmt.Sprintf("invalid parameter \"timestamp\": %q is no time in Unix milliseconds", Clip(text, 40))}
	}
	return t, nil
}

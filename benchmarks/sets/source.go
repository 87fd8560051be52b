package sets

import (
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/benchmarks/remote"
)

// requestSamples is about how many samples a request has.
const requestSamples = 8000

// Sources returns the requests of n senders. Each group has one sender, which
// sends some samples of all its series, then the next ones, before the next group.
func (s Set) Sources(n int) []remote.Source {
	all := make([]remote.Source, n)
	for k := range all {
		all[k] = &source{set: s, group: k, step: n}
	}
	return all
}

// source implements remote.Source.
type source struct {
	set    Set
	group  int // the next one
	step   int // to the one after that
	series []Series
	labels [][]byte // encoded, of each series
	at     int      // index of the samples that come next
}

// AppendRequest implements remote.Source.
func (s *source) AppendRequest(dst []byte) ([]byte, int, error) {
	n := 0
	for {
		per := max(1, requestSamples/max(1, len(s.series)))
		for i, series := range s.series {
			from, to := min(s.at, len(series.Times)), min(s.at+per, len(series.Times))
			if from == to {
				continue
			}
			dst = remote.AppendSeries(dst, len(s.labels[i]), to-from)
			dst = append(dst, s.labels[i]...)
			for j := from; j < to; j++ {
				dst = remote.AppendSample(dst, series.Times[j], series.Values[j])
			}
			n += to - from
		}
		s.at += per
		if n > 0 || s.group >= s.set.Groups {
			return dst, n, nil
		}
		if err := s.next(); err != nil {
			return dst, 0, err
		}
	}
}

// next goes to the next group.
func (s *source) next() (err error) {
	s.series, err = s.set.Group(s.group)
	s.group += s.step
	s.at = 0
	s.labels = s.labels[:0]
	for _, series := range s.series {
		var b []byte
		series.Labels.Range(func(l labels.Label) { b = remote.AppendLabel(b, l.Name, l.Value) })
		s.labels = append(s.labels, b)
	}
	return err
}

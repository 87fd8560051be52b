package main

import (
	"fmt"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/benchmarks/remote"
	"tsdb/benchmarks/sets"
)

const (
	requestSamples = 5000 // in a request, about
	seriesSamples  = 10   // of a series in a request, as a sender that was delayed sends them

	// metricLabel repeats the name of a series, which range functions drop:
	// without it the rate of all series of a fleet has many results with equal
	// labels, which PromQL refuses.
	metricLabel = "metric"
)

// inTime returns the requests that write a set in order of time, as a server
// receives it live: a few samples of every group, then the next few of every
// group, and so on. There is only one sender, because one of two would get ahead,
// and Prometheus stores samples an hour behind its newest one apart, where its
// snapshots do not include them. The whole set is held in memory.
func inTime(set sets.Set) (remote.Source, error) {
	s := &timeSource{}
	for i := range set.Groups {
		series, err := set.Group(i)
		if err != nil {
			return nil, fmt.Errorf("group %d: %w", i, err)
		}
		s.groups = append(s.groups, labelled(series))
	}
	return s, nil
}

// labelledSeries is a series with its labels as they are sent.
type labelledSeries struct {
	sets.Series
	encoded []byte
}

func labelled(series []sets.Series) []labelledSeries {
	all := make([]labelledSeries, len(series))
	for i, s := range series {
		b := labels.NewBuilder(s.Labels)
		b.Set(metricLabel, s.Labels.Get(model.MetricNameLabel))
		all[i].Series = s
		b.Labels().Range(func(l labels.Label) {
			all[i].encoded = remote.AppendLabel(all[i].encoded, l.Name, l.Value)
		})
	}
	return all
}

// timeSource implements remote.Source.
type timeSource struct {
	groups [][]labelledSeries
	group  int // the next one
	at     int // index of the group's next samples
	ended  int // number of groups without further samples; when it is all, the set is sent
}

// AppendRequest implements remote.Source. It gives no errors.
func (s *timeSource) AppendRequest(dst []byte) ([]byte, int, error) {
	n := 0
	for n < requestSamples && s.ended < len(s.groups) {
		before := n
		for _, series := range s.groups[s.group] {
			from, to := min(s.at, len(series.Times)), min(s.at+seriesSamples, len(series.Times))
			if from == to {
				continue
			}
			dst = remote.AppendSeries(dst, len(series.encoded), to-from)
			dst = append(dst, series.encoded...)
			for j := from; j < to; j++ {
				dst = remote.AppendSample(dst, series.Times[j], series.Values[j])
			}
			n += to - from
		}
		if n == before {
			s.ended++
		}
		if s.group++; s.group == len(s.groups) {
			s.group = 0
			s.at += seriesSamples
			if s.ended < len(s.groups) {
				s.ended = 0
			}
		}
	}
	return dst, n, nil
}

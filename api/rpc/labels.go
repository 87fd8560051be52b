package rpc

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"

	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/storage"
)

// LabelNames lists names.
func (s *Service) LabelNames(r *tsdbv1.LabelNamesRequest, to grpc.ServerStreamingServer[tsdbv1.LabelsResponse]) error {
	tr := inclusive(orElse(r.StartMs, math.MinInt64), orElse(r.EndMs, math.MaxInt64))
	return s.labelStrings(to, r.Selectors, int(r.Limit), func(v *storage.View, limit int, ms []*labels.Matcher) ([]string, []error, error) {
		return v.LabelNames(to.Context(), tenant, tr, limit, ms...)
	})
}

// LabelValues lists the values of a label.
func (s *Service) LabelValues(r *tsdbv1.LabelValuesRequest, to grpc.ServerStreamingServer[tsdbv1.LabelsResponse]) error {
	tr := inclusive(orElse(r.StartMs, math.MinInt64), orElse(r.EndMs, math.MaxInt64))
	return s.labelStrings(to, r.Selectors, int(r.Limit), func(v *storage.View, limit int, ms []*labels.Matcher) ([]string, []error, error) {
		return v.LabelValues(to.Context(), tenant, r.Name, tr, limit, ms...)
	})
}

// labelStrings sends what read finds for any of the selectors, sorted.
func (s *Service) labelStrings(to grpc.ServerStreamingServer[tsdbv1.LabelsResponse], selectors []string, limit int,
	read func(*storage.View, int, []*labels.Matcher) ([]string, []error, error)) error {
	sets, err := s.selectors(selectors)
	if err != nil {
		return err
	}
	if len(sets) == 0 {
		sets = [][]*labels.Matcher{nil}
	}
	view, release, err := s.view(to.Context())
	if err != nil {
		return statusOf(err, false)
	}
	defer release()
	most := 0
	if limit > 0 {
		most = limit + 1 // to see that there is more
	}
	var found, warnings []string
	for _, ms := range sets {
		some, warned, err := read(view, most, ms)
		if err != nil {
			return statusOf(err, false)
		}
		found = append(found, some...)
		for _, w := range warned {
			warnings = append(warnings, w.Error())
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	if limit > 0 && len(found) > limit {
		found = found[:limit]
		warnings = append(warnings, errTruncated.Error())
	}
	return statusOf(sendStrings(to, found, valid(warnings[:min(len(warnings), maxAnnotations)])), false)
}

// sendStrings sends a list in frames, the warnings with the last.
func sendStrings(to grpc.ServerStreamingServer[tsdbv1.LabelsResponse], list, warnings []string) error {
	frame, bytes := &tsdbv1.LabelsResponse{}, 0
	for _, text := range list {
		if bytes > 0 && bytes+len(text)+overheadBytes > MaxFrameBytes {
			if err := to.Send(frame); err != nil {
				return err
			}
			frame, bytes = &tsdbv1.LabelsResponse{}, 0
		}
		frame.Values = append(frame.Values, text)
		bytes += len(text) + overheadBytes
	}
	frame.Warnings = warnings
	return to.Send(frame)
}

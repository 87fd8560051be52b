package rpc

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"

	"tsdb/internal/model"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/storage"
)

// LabelNames lists label names.
func (s *Service) LabelNames(r *tsdbv1.LabelNamesRequest, to grpc.ServerStreamingServer[tsdbv1.LabelsResponse]) error {
	tr := inclusive(orElse(r.StartMs, math.MinInt64), orElse(r.EndMs, math.MaxInt64))
	return s.labelStrings(to, r.Selectors, int(r.Limit), func(v *storage.View, limit int, ms []*labels.Matcher) ([]string, []error, error) {
		return v.LabelNames(to.Context(), model.DefaultTenant, tr, limit, ms...)
	})
}

// LabelValues lists the values of a label.
func (s *Service) LabelValues(r *tsdbv1.LabelValuesRequest, to grpc.ServerStreamingServer[tsdbv1.LabelsResponse]) error {
	tr := inclusive(orElse(r.StartMs, math.MinInt64), orElse(r.EndMs, math.MaxInt64))
	return s.labelStrings(to, r.Selectors, int(r.Limit), func(v *storage.View, limit int, ms []*labels.Matcher) ([]string, []error, error) {
		return v.LabelValues(to.Context(), model.DefaultTenant, r.Name, tr, limit, ms...)
	})
}

// labelStrings sends the sorted union of what read returns for each selector.
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
	readLimit := 0
	if limit > 0 {
		readLimit = limit + 1 // to detect that the limit is exceeded
	}
	charge := s.opts.Engine.Charge()
	defer charge.Close()
	charge.View(view)
	var found, warnings []string
	for _, ms := range sets {
		some, warned, err := read(view, readLimit, ms)
		if err == nil {
			err = charge.Texts(some)
		}
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

// sendStrings sends a list in messages, with the warnings in the last one.
func sendStrings(to grpc.ServerStreamingServer[tsdbv1.LabelsResponse], list, warnings []string) error {
	message, bytes := &tsdbv1.LabelsResponse{}, 0
	for _, text := range list {
		if bytes > 0 && bytes+len(text)+overheadBytes > MaxMessageBytes {
			if err := to.Send(message); err != nil {
				return err
			}
			message, bytes = &tsdbv1.LabelsResponse{}, 0
		}
		message.Values = append(message.Values, text)
		bytes += len(text) + overheadBytes
	}
	message.Warnings = warnings
	return to.Send(message)
}

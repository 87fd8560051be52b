// Package promread reads another server by Prometheus' remote read: streamed chunks
// (application/x-streamed-protobuf) where the server has them, one message of samples
// otherwise. A window of time is a unit, one request a selector; the next request is not sent
// before the answer to the last one has been taken. Memory is bounded by a frame, or by the
// message: a server that answers with samples should be asked for short windows.
//
// Remote read has no exemplars. Metadata come from /api/v1/metadata beside the path of reads,
// if there is one.
package promread

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/transfer"
)

// Bounds of a source.
const (
	maxWindows = 1 << 20
	// maxItem is the number of samples from which a series is passed on in parts.
	maxItem = 1 << 20
	// Requests that fail for a reason that may pass are repeated.
	maxTries   = 6
	firstPause = time.Second // doubles
)

// Options are the options of a Source. URL, Client and Selectors are required.
type Options struct {
	// URL is the server's, such as http://prometheus:9090, or that of its reads, whose path
	// ends in /read.
	URL    string
	Client *http.Client
	// Selectors are lists of matchers; what several match is read several times.
	Selectors [][]*labels.Matcher
	// Start and End are the times of the first and the last sample, Unix milliseconds.
	Start, End int64
	Window     time.Duration // of a unit; 0 = a day
	Log        *slog.Logger  // nil = none
	// Pause waits between two attempts; nil = on the system's clock.
	Pause func(ctx context.Context, d time.Duration) error
}

// Source reads a server, a window after the other.
type Source struct {
	o              Options
	read, metadata string // addresses
	requests       map[string]request
	answered       bool // to a request, with whatever status
}

// request is what is asked for a unit.
type request struct {
	selector []*labels.Matcher
	tr       model.TimeRange
}

// metadataUnit is the unit of the metadata. It comes first, so that the first run has them.
const metadataUnit = "metadata"

// Open returns a source. Nothing is sent yet.
func Open(o Options) (*Source, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is no address of a server, such as http://localhost:9090", o.URL)
	}
	switch {
	case len(o.Selectors) == 0:
		return nil, errors.New("no selector of series is given")
	case o.Start > o.End:
		return nil, fmt.Errorf("the start, %s, is after the end, %s", model.FormatTime(o.Start), model.FormatTime(o.End))
	case o.Window == 0:
		o.Window = 24 * time.Hour
	case o.Window < time.Second:
		return nil, fmt.Errorf("a window of %s is shorter than a second", o.Window)
	}
	if n := (float64(o.End) - float64(o.Start)) / float64(o.Window.Milliseconds()); n > maxWindows {
		return nil, fmt.Errorf("%.0f windows of %s are more than %d", n, o.Window, maxWindows)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Pause == nil {
		o.Pause = pause
	}
	s := &Source{o: o, requests: map[string]request{}}
	u.RawQuery, u.Fragment = "", ""
	if !strings.HasSuffix(u.Path, "/read") {
		u.Path = strings.TrimSuffix(u.Path, "/") + "/api/v1/read"
	}
	s.read = u.String()
	u.Path = strings.TrimSuffix(u.Path, "/read") + "/metadata"
	s.metadata = u.String()
	return s, nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Plan implements transfer.Source. Windows begin where days do, so that days are complete
// when they are published. The size of a unit is its length in milliseconds.
func (s *Source) Plan(context.Context) (*transfer.Plan, error) {
	p := &transfer.Plan{Min: s.o.Start, Max: s.o.End, Loose: true}
	p.Units = append(p.Units, transfer.Unit{ID: metadataUnit, Name: "metadata", Min: 1, Size: 1})
	width := s.o.Window.Milliseconds()
	for from := transfer.DayOf(s.o.Start).Min; from <= s.o.End; {
		next := model.AddTime(from, width)
		tr := model.TimeRange{Min: max(from, s.o.Start), Max: min(next, s.o.End+1)}
		if from = next; tr.Empty() {
			continue
		}
		for i, selector := range s.o.Selectors {
			u := transfer.Unit{ID: fmt.Sprint(tr.Min, "-", tr.Max, "-", i), Name: model.FormatTime(tr.Min), Min: tr.Min, Max: tr.Max - 1, Size: tr.Max - tr.Min}
			s.requests[u.ID] = request{selector, tr}
			p.Units = append(p.Units, u)
		}
	}
	return p, nil
}

// Read implements transfer.Source. A position is the mark of the last series that was passed
// on: what lies before it in a later answer may be more or less, so a number would not do.
func (s *Source) Read(ctx context.Context, u transfer.Unit, from int64, emit transfer.Emit) error {
	if u.ID == metadataUnit {
		return s.readMetadata(ctx, emit)
	}
	q, ok := s.requests[u.ID]
	if !ok {
		return errors.New("no such window")
	}
	r := &reader{s: s, request: q, at: from, emit: emit}
	tries, wait := 0, firstPause
	for {
		before := r.at
		err := r.answer(ctx)
		var passing *passingError
		if !errors.As(err, &passing) || ctx.Err() != nil {
			return err
		}
		if r.at != before {
			tries, wait = 0, firstPause
		}
		if tries++; tries == maxTries {
			return fmt.Errorf("after %d attempts: %w", tries, passing.error)
		}
		s.o.Log.Warn("a request will be repeated", "window", u.Name, "err", passing.error)
		if err := s.o.Pause(ctx, max(wait, passing.wait)); err != nil {
			return err
		}
		wait *= 2
	}
}

// Close implements transfer.Source.
func (s *Source) Close() error {
	s.o.Client.CloseIdleConnections()
	return nil
}

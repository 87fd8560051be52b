package pushgateway

import (
	"context"
	"errors"
	"math"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/zeebo/xxh3"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/text"
	"tsdb/internal/model"
	"tsdb/storage"
)

const (
	// recallMs is how far back pushes of a group are looked for: much longer than
	// queries look back for a value, after which a series ends by itself.
	recallMs = 3_600_000
	// maxRecallSeries is the number of series with the labels of a group from which
	// on none are recalled: reading them would take too long.
	maxRecallSeries = 1 << 16
)

// Names of the series with the times of pushes.
const (
	pushTime    = "push_time_seconds"
	failureTime = "push_failure_time_seconds"
)

// recalled is a series of a group that was pushed before the server's start, or so long
// ago that the memory has forgotten it.
type recalled struct {
	labels labels.Labels
	name   uint64 // as text.Recorded has it
}

// recall returns a group as earlier pushes have left it, by what is stored: its series are those
// with the labels of the group whose newest sample was stored by a push of it. A sample of
// a push has the time of the push, which the group's pushTime has too. A group with more
// labels, or a scrape of the same job, has other times. What is being pushed, at now, is
// not among them.
func (h *Handler) recall(ctx context.Context, grouping []door.Label, now int64) (*group, error) {
	db, err := h.db()
	if err != nil {
		return nil, err
	}
	tenant, err := db.Tenant(h.tenant)
	if err != nil {
		return nil, err
	}
	v, err := db.View()
	if err != nil {
		return nil, err
	}
	defer v.Release()
	values := map[string]string{}
	for _, l := range grouping {
		values[l.Name] = l.Value // of two labels of a name the last one counts
	}
	var matchers []*labels.Matcher
	numLabels := 1 // of the series with the times
	for name, value := range values {
		m, err := labels.NewMatcher(labels.MatchEqual, name, value)
		if err != nil {
			return nil, err
		}
		matchers = append(matchers, m)
		if value != "" {
			numLabels++
		}
	}
	tr := model.TimeRange{Min: now - recallMs, Max: now + 1}
	var samples model.Samples
	pushes, g := map[int64]bool{}, &group{}
	names, err := labels.NewMatcher(labels.MatchRegexp, "__name__", pushTime+"|"+failureTime)
	if err != nil {
		return nil, err
	}
	set, err := v.Select(ctx, tenant, tr, append(matchers, names)...)
	if err != nil {
		return nil, err
	}
	for i := range set.Len() {
		s := set.At(i)
		if s.Labels.Len() != numLabels {
			continue
		}
		samples.Reset()
		if err := s.Samples(ctx, tr, &samples); err != nil {
			return nil, err
		}
		for _, t := range samples.T {
			if t < now {
				pushes[t], g.t = true, max(g.t, t)
			}
		}
	}
	if len(pushes) == 0 {
		return g, nil
	}
	if set, err = v.Select(ctx, tenant, tr, matchers...); err != nil || set.Len() > maxRecallSeries {
		return g, err
	}
	for i := range set.Len() {
		s := set.At(i)
		name := s.Labels.Get("__name__")
		if name == pushTime || name == failureTime {
			continue
		}
		samples.Reset()
		if err := s.Samples(ctx, tr, &samples); err != nil {
			return nil, err
		}
		last := samples.Len() - 1
		if last < 0 || !pushes[samples.T[last]] {
			continue
		}
		if hist := samples.HistogramAt(last); hist.IsZero() && value.IsStaleNaN(samples.V[last]) || !hist.IsZero() && hist.IsStale() {
			continue
		}
		g.recalled = append(g.recalled, recalled{s.Labels, xxh3.HashString(name)})
	}
	return g, nil
}

// markStale stores a stale marker at a time, in Unix milliseconds, for recalled series.
func (h *Handler) markStale(ctx context.Context, all []recalled, t int64) error {
	if len(all) == 0 {
		return nil
	}
	db, err := h.db()
	if err != nil {
		return err
	}
	tenant, err := db.Tenant(h.tenant)
	if err != nil {
		return err
	}
	b := db.NewBatch(text.DoorName, tenant)
	for attempt := 0; ; attempt++ {
		b.Reset()
		for _, s := range all {
			// The alias is one that no client can send.
			alias := door.AliasOf(h.shared.Seed(), []byte("recalled "+s.labels.String()))
			ref, err := b.Resolve(alias, s.labels)
			if err != nil {
				return err
			}
			b.Float(ref, t, 0, math.Float64frombits(value.StaleNaN))
		}
		_, err := b.Commit(ctx)
		if err == nil || !errors.Is(err, storage.ErrStaleRef) || attempt == door.StaleRetries {
			return err
		}
	}
}

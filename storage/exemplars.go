package storage

import (
	"context"
	"errors"
	"slices"
	"sort"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
)

// ExemplarSeries is a series and its exemplars, by rising time.
type ExemplarSeries struct {
	Labels    labels.Labels
	Exemplars []model.Exemplar
}

// Exemplars returns the exemplars in the range of all series that match one of
// the sets of matchers, sorted by labels. Warnings name data that could not be read.
func (v *View) Exemplars(ctx context.Context, tenant uint32, tr model.TimeRange, sets [][]*labels.Matcher) (list []ExemplarSeries, warnings []error, err error) {
	seen := make(map[model.Identity]bool)
	for _, ms := range sets {
		// Exemplars may be a little older or newer than the samples they stand
		// beside, so all series are asked.
		set, err := v.Select(ctx, tenant, model.AllTime, ms...)
		if err != nil {
			return nil, nil, err
		}
		for _, s := range set.series {
			if seen[s.ID] {
				continue
			}
			seen[s.ID] = true
			es, err := s.exemplars(tr)
			if err != nil {
				return nil, nil, err
			}
			if len(es) > 0 {
				list = append(list, ExemplarSeries{Labels: s.Labels, Exemplars: es})
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		warnings = append(warnings, set.Warnings()...)
	}
	sort.Slice(list, func(i, j int) bool { return labels.Compare(list[i].Labels, list[j].Labels) < 0 })
	return list, warnings, nil
}

// exemplars gathers a series' exemplars from blocks and head, without those that were
// deleted.
func (s *Series) exemplars(tr model.TimeRange) ([]model.Exemplar, error) {
	st := s.set.view.st
	tr = st.visible(tr)
	tr.Min = max(tr.Min, st.rules.floor(block.Raw, s.Labels))
	var all []model.Exemplar
	add := func(es []model.Exemplar, deleted block.DeletedRanges) {
		for _, e := range es {
			if tr.Contains(e.T) && !deleted.Contains(e.T) {
				all = append(all, e)
			}
		}
	}
	for _, src := range s.sources {
		if src.block == nil {
			if st.frozen != nil {
				add(st.frozen.Exemplars(src.ref), deletedOf(s.set.deleted, s.Labels))
			}
			add(st.active.Exemplars(src.ref), nil)
			continue
		}
		es, err := src.block.Exemplars(src.ord)
		if err := s.set.warnOf(err); err != nil {
			return nil, err
		}
		add(es, src.block.deletions.Ranges(src.ord, nil))
	}
	slices.SortStableFunc(all, func(a, b model.Exemplar) int {
		switch {
		case a.T < b.T:
			return -1
		case a.T > b.T:
			return 1
		}
		return labels.Compare(a.Labels, b.Labels)
	})
	return slices.CompactFunc(all, model.Exemplar.Equal), nil
}

// Metadata returns the metadata of all metrics, or of one if metric is not empty.
// The newest of a metric wins. Warnings name data that could not be read.
func (v *View) Metadata(ctx context.Context, tenant uint32, metric string) (all map[string][]model.Metadata, warnings []error, err error) {
	all = make(map[string][]model.Metadata)
	for _, e := range v.st.blocks.Raw() { // oldest first
		if err := e.Err(); err != nil && len(warnings) < maxWarnings {
			warnings = append(warnings, err)
		}
		if e.Block() == nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		ms, err := e.Block().Metadata()
		if errors.Is(err, format.ErrCorrupt) {
			if len(warnings) < maxWarnings {
				warnings = append(warnings, err)
			}
			continue
		} else if err != nil {
			return nil, nil, err
		}
		for _, m := range ms {
			if m.Tenant == tenant && (metric == "" || m.Metric == metric) {
				all[m.Metric] = []model.Metadata{m.Metadata}
			}
		}
	}
	for name, m := range v.views.head.Metadata(tenant) {
		if metric == "" || name == metric {
			all[name] = []model.Metadata{m}
		}
	}
	return all, warnings, nil
}

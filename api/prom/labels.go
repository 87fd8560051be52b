package prom

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// contextCheckInterval is the number of series listed between context checks.
const contextCheckInterval = 1024

// labelNames lists the names of labels.
func (a *API) labelNames(r *http.Request) (answer, *apiError) {
	return a.labelStrings(r, func(q promstorage.Querier, h *promstorage.LabelHints, ms []*labels.Matcher) ([]string, annotations.Annotations, error) {
		return q.LabelNames(r.Context(), h, ms...)
	})
}

// labelValues lists the values of one label.
func (a *API) labelValues(r *http.Request) (answer, *apiError) {
	name := r.PathValue("name")
	if strings.HasPrefix(name, "U__") {
		name = model.UnescapeName(name, model.ValueEncodingEscaping)
	}
	if !model.UTF8Validation.IsValidLabelName(name) {
		return answer{}, badData(fmt.Errorf("invalid label name: %q", name))
	}
	return a.labelStrings(r, func(q promstorage.Querier, h *promstorage.LabelHints, ms []*labels.Matcher) ([]string, annotations.Annotations, error) {
		return q.LabelValues(r.Context(), name, h, ms...)
	})
}

// labelStrings returns the sorted union of what read returns for each selector.
func (a *API) labelStrings(r *http.Request, read func(promstorage.Querier, *promstorage.LabelHints, []*labels.Matcher) ([]string, annotations.Annotations, error)) (answer, *apiError) {
	limit, bad := limitOf(r)
	if bad != nil {
		return answer{}, bad
	}
	start, end, bad := timeRange(r)
	if bad != nil {
		return answer{}, bad
	}
	sets, err := a.selectors(r)
	if err != nil {
		return answer{}, badData(err)
	}
	q, infos, unready := a.querier(r, start, end)
	if unready != nil {
		return answer{}, unready
	}
	defer q.Close()
	if len(sets) == 0 {
		sets = [][]*labels.Matcher{nil}
	}
	charge := a.opts.Engine.Charge()
	ans := answer{done: charge.Close, warnings: infos}
	charge.Selections(q)
	found := []string{}
	for _, ms := range sets {
		some, warnings, err := read(q, &promstorage.LabelHints{Limit: oneMore(limit)}, ms)
		if err == nil {
			err = charge.Texts(some)
		}
		if err != nil {
			return ans, classify(err)
		}
		ans.warnings.Merge(warnings)
		found = append(found, some...)
	}
	slices.Sort(found)
	found = slices.Compact(found)
	if limit > 0 && len(found) > limit {
		found = found[:limit]
		ans.warnings.Add(errTruncated)
	}
	ans.data = stringData(found)
	return ans, nil
}

func (a *API) querier(r *http.Request, start, end int64) (_ promstorage.Querier, infos annotations.Annotations, _ *apiError) {
	q, infos, unready := a.queryable(r)
	if unready != nil {
		return nil, nil, unready
	}
	open, err := q.Querier(start, end)
	if err != nil {
		return nil, nil, classify(err)
	}
	return open, infos, nil
}

// series lists the label sets of the series that match any of the selectors.
func (a *API) series(r *http.Request) (answer, *apiError) {
	if len(r.Form["match[]"]) == 0 {
		return answer{}, badData(errors.New("no match[] parameter provided"))
	}
	limit, bad := limitOf(r)
	if bad != nil {
		return answer{}, bad
	}
	start, end, bad := timeRange(r)
	if bad != nil {
		return answer{}, bad
	}
	selectors, err := a.selectors(r)
	if err != nil {
		return answer{}, badParam("match[]", err)
	}
	q, infos, unready := a.querier(r, start, end)
	if unready != nil {
		return answer{}, unready
	}
	defer q.Close()
	charge := a.opts.Engine.Charge()
	ans := answer{done: charge.Close, warnings: infos}
	charge.Selections(q)
	ctx := r.Context()
	hints := &promstorage.SelectHints{Start: start, End: end, Func: "series", Limit: oneMore(limit)}
	sets := make([]promstorage.SeriesSet, len(selectors))
	for i, ms := range selectors {
		sets[i] = q.Select(ctx, true, hints, ms...)
	}
	set := sets[0]
	if len(sets) > 1 {
		set = promstorage.NewMergeSeriesSet(sets, 0, promstorage.ChainedSeriesMerge)
	}
	found := []labels.Labels{}
	for n := 1; set.Next(); n++ {
		if n%contextCheckInterval == 0 && ctx.Err() != nil {
			return ans, classify(ctx.Err())
		}
		if limit > 0 && len(found) == limit {
			ans.warnings.Add(errTruncated)
			break
		}
		found = append(found, set.At().Labels())
	}
	if err := set.Err(); err != nil {
		return ans, classify(err)
	}
	ans.warnings.Merge(set.Warnings())
	ans.data = func(e *encoder) { points(e, found, appendLabels) }
	return ans, nil
}

package prom

import (
	"fmt"
	"net/http"

	"tsdb/internal/model"
	"tsdb/storage"
)

// metricSizes lists what is stored of each metric.
func (a *API) metricSizes(r *http.Request) (answer, *apiError) {
	rows, bad := tableRows(r, "limit")
	if bad != nil {
		return answer{}, bad
	}
	req := storage.MetricSizesRequest{Tenant: model.DefaultTenant, Limit: rows}
	var err error
	if req.Order, err = storage.ParseMetricOrder(r.Form.Get("sort")); err != nil {
		return answer{}, badParam("sort", err)
	}
	if req.Sets, err = a.selectors(r); err != nil {
		return answer{}, badParam("match[]", err)
	}
	return a.overIndex(r, func(db *storage.DB, reserve func(int64) error) (encodable, []error, error) {
		req.Reserve = reserve
		found, warnings, err := db.MetricSizes(r.Context(), req)
		return jsonValue(found), warnings, err
	})
}

// warned returns an answer with warnings.
func warned(data encodable, warnings []error) answer {
	ans := answer{data: data}
	for _, w := range warnings {
		ans.warnings.Add(w)
	}
	return ans
}

// The days of a churn report.
const (
	defaultChurnDays = 14
	maxChurnDays     = 366
)

var errChurnDays = fmt.Errorf("days must be from 1 to %d", maxChurnDays)

// churn lists the series that each day has created.
func (a *API) churn(r *http.Request) (answer, *apiError) {
	rows, bad := tableRows(r, "topN")
	if bad != nil {
		return answer{}, bad
	}
	req := storage.ChurnRequest{Tenant: model.DefaultTenant, Limit: min(rows, storage.MaxChurnRows)}
	if req.Days, bad = number(r, "days", defaultChurnDays); bad != nil {
		return answer{}, bad
	}
	if req.Days < 1 || req.Days > maxChurnDays {
		return answer{}, badData(errChurnDays)
	}
	return a.overIndex(r, func(db *storage.DB, reserve func(int64) error) (encodable, []error, error) {
		req.Reserve = reserve
		found, warnings, err := db.Churn(r.Context(), req)
		return jsonValue(found), warnings, err
	})
}

// The days of a report of kept counts.
const defaultCountedDays = 28

var errCountedDays = fmt.Errorf("days must be from 1 to %d", storage.MaxCountedDays)

// dailyCounts lists the counts of days that are kept. It takes no slot and little memory, so
// that it answers while the server is overloaded.
func (a *API) dailyCounts(r *http.Request) (answer, *apiError) {
	rows, bad := tableRows(r, "topN")
	if bad != nil {
		return answer{}, bad
	}
	req := storage.DailyCountsRequest{Limit: min(rows, storage.MaxCountedRows)}
	if req.Days, bad = number(r, "days", defaultCountedDays); bad != nil {
		return answer{}, bad
	}
	if req.Days < 1 || req.Days > storage.MaxCountedDays {
		return answer{}, badData(errCountedDays)
	}
	var err error
	if req.Order, err = storage.ParseDailyOrder(r.Form.Get("sort")); err != nil {
		return answer{}, badParam("sort", err)
	}
	if s := r.Form.Get("until"); s != "" {
		day, bad := dayOf("until", s)
		if bad != nil {
			return answer{}, bad
		}
		req.Until = day.Min
	}
	db, err := a.opts.DB()
	if err != nil {
		return answer{}, unavailable(err)
	}
	charge := a.opts.Engine.Charge()
	defer charge.Close()
	req.Reserve = charge.Take
	found, warnings, err := db.DailyCounts(req)
	if err != nil {
		return answer{}, classifyWork(err)
	}
	return warned(jsonValue(found), warnings), nil
}

package prom

import (
	"errors"
	"net/http"

	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/internal/model"
	"tsdb/storage"
)

// ErrExpiredDeleted is the warning of a deletion that reaches times of which only
// rollups are left.
var ErrExpiredDeleted = errors.New("samples of a part of the range have expired: of rollups, every bucket that the range touches is removed as a whole")

// deleteSeries deletes samples and exemplars, as in Prometheus: 204 when the deletion
// is durable. With dry_run=true the answer is an estimate, with purge=true the history
// loses the samples too. If buckets of rollups are
// removed that are only partly in the range, the answer is 200 with a warning.
func (a *API) deleteSeries(r *http.Request) (answer, *apiError) {
	sets, err := a.selectors(r)
	if err != nil {
		return answer{}, badParam("match[]", err)
	}
	if len(sets) == 0 {
		return answer{}, badData(errors.New("no match[] parameter provided"))
	}
	start, end, bad := timeRange(r)
	if bad != nil {
		return answer{}, bad
	}
	if end < start {
		return answer{}, badData(errors.New("end timestamp must not be before start time"))
	}
	dryRun, bad := boolean(r, "dry_run")
	if bad != nil {
		return answer{}, bad
	}
	purge, bad := boolean(r, "purge")
	if bad != nil {
		return answer{}, bad
	}
	db, err := a.opts.DB()
	if err != nil {
		return answer{}, unavailable(err)
	}
	e, err := db.DeleteSeries(r.Context(), storage.DeleteRequest{
		Tenant: model.DefaultTenant, Range: model.Inclusive(start, end), Sets: sets, DryRun: dryRun, Purge: purge,
	})
	switch {
	case errors.Is(err, storage.ErrDeleteTooLarge):
		return answer{}, badData(err)
	case err != nil:
		return answer{}, classifyWork(err)
	case !dryRun && !e.Expired:
		return answer{}, nil
	}
	var warnings annotations.Annotations
	if e.Expired {
		warnings.Add(ErrExpiredDeleted)
	}
	return answer{data: jsonValue(e), warnings: warnings}, nil
}

// cleanTombstones carries out all deletions, so that their disk space comes back.
// 204 as in Prometheus.
func (a *API) cleanTombstones(r *http.Request) (answer, *apiError) {
	ans, err := a.work(r, (*storage.DB).CleanTombstones)
	if err != nil {
		return ans, err
	}
	return answer{}, nil
}

package prom

import (
	"encoding/json"
	"net/http"
	"regexp"

	prommodel "github.com/prometheus/common/model"

	"tsdb/internal/model"
	"tsdb/storage"
)

// defaultNameRows is the default of limit, as in VictoriaMetrics.
const defaultNameRows = 1000

type nameRecord struct {
	Name     string `json:"metricName"`
	Requests uint64 `json:"requestsCount"`
	Last     int64  `json:"lastRequestTimestamp"` // Unix seconds; 0 = never
}

// metricNamesStats lists how often queries ask for each stored metric, the least queried
// first, in VictoriaMetrics' format: its members stand beside status, not in data.
func (a *API) metricNamesStats(w http.ResponseWriter, r *http.Request) {
	charge, bad := a.parseForm(w, r)
	if bad != nil {
		writeError(w, bad)
		return
	}
	defer charge.Release()
	view, bad := a.nameStats(r)
	if bad != nil {
		writeError(w, bad)
		return
	}
	b, err := json.Marshal(view)
	if err != nil {
		panic("BUG: encode " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b) // an error means that the client has disconnected
}

type nameStatsView struct {
	Status   string       `json:"status"`
	Since    int64        `json:"statsCollectedSince"` // Unix seconds
	Total    int          `json:"statsCollectedRecordsTotal"`
	MaxBytes int64        `json:"trackerMemoryMaxSizeBytes"`
	Bytes    int64        `json:"trackerCurrentMemoryUsageBytes"`
	Records  []nameRecord `json:"records"`
}

func (a *API) nameStats(r *http.Request) (nameStatsView, *apiError) {
	v := nameStatsView{Status: "success", MaxBytes: storage.MaxQueriedBytes, Records: []nameRecord{}}
	limit, bad := number(r, "limit", defaultNameRows)
	if bad != nil {
		return v, bad
	}
	le, bad := number(r, "le", -1) // -1 = any
	if bad != nil {
		return v, bad
	}
	if limit <= 0 || limit > storage.MaxQueriedNames {
		limit = storage.MaxQueriedNames
	}
	pattern, err := regexp.Compile(r.Form.Get("match_pattern"))
	if err != nil {
		return v, badParam("match_pattern", err)
	}
	db, release, bad := a.readIndex(r)
	if bad != nil {
		return v, bad
	}
	defer release()
	view, err := db.View()
	if err != nil {
		return v, unavailable(err)
	}
	defer view.Release()
	stored, _, err := view.LabelValues(r.Context(), model.DefaultTenant, prommodel.MetricNameLabel, model.AllTime, storage.MaxQueriedNames)
	if err != nil {
		return v, classifyWork(err)
	}
	v.Since, v.Bytes = db.Queried().Since()
	all := db.Queried().Records(stored)
	v.Total = len(all)
	for _, n := range all {
		if len(v.Records) == limit || le >= 0 && n.Requests > uint64(le) {
			break // the least requested come first
		}
		if pattern.MatchString(n.Name) {
			v.Records = append(v.Records, nameRecord{n.Name, n.Requests, n.Last})
		}
	}
	return v, nil
}

// resetMetricNamesStats forgets all counts.
func (a *API) resetMetricNamesStats(*http.Request) (answer, *apiError) {
	db, err := a.opts.DB()
	if err != nil {
		return answer{}, unavailable(err)
	}
	db.Queried().Reset()
	return answer{}, nil
}

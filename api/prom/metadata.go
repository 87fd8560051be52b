package prom

import (
	"maps"
	"net/http"
	"slices"

	"tsdb/internal/model"
)

// metricMetadata is the metadata of a metric in the API's format.
type metricMetadata struct {
	Type string `json:"type"`
	Help string `json:"help"`
	Unit string `json:"unit"`
}

func metadataOf(m model.Metadata) metricMetadata {
	return metricMetadata{Type: m.Type, Help: m.Help, Unit: m.Unit}
}

// metadata lists the metadata of metrics, sorted by name.
func (a *API) metadata(r *http.Request) (answer, *apiError) {
	limit, bad := number(r, "limit", -1)
	if bad != nil {
		return answer{}, bad
	}
	perMetric, bad := number(r, "limit_per_metric", -1)
	if bad != nil {
		return answer{}, bad
	}
	db, err := a.opts.DB()
	if err != nil {
		return answer{}, unavailable(err)
	}
	v, err := db.View()
	if err != nil {
		return answer{}, classify(err)
	}
	defer v.Release()
	found, warnings, err := v.Metadata(r.Context(), model.DefaultTenant, r.Form.Get("metric"))
	if err != nil {
		return answer{}, classifyWork(err)
	}
	names := slices.Sorted(maps.Keys(found))
	if limit >= 0 && len(names) > limit {
		names = names[:limit]
	}
	ans := answer{data: func(e *encoder) {
		e.b = append(e.b, '{')
		for i, name := range names {
			if i > 0 {
				e.b = append(e.b, ',')
			}
			e.b = appendString(e.b, name)
			e.b = append(e.b, ':')
			ms := found[name]
			if perMetric > 0 && len(ms) > perMetric {
				ms = ms[:perMetric]
			}
			points(e, ms, appendMetadata)
		}
		e.b = append(e.b, '}')
	}}
	for _, w := range warnings {
		ans.warnings.Add(w)
	}
	return ans, nil
}

func appendMetadata(dst []byte, m model.Metadata) []byte {
	dst = append(dst, `{"type":`...)
	dst = appendString(dst, m.Type)
	dst = append(dst, `,"unit":`...)
	dst = appendString(dst, m.Unit)
	dst = append(dst, `,"help":`...)
	dst = appendString(dst, m.Help)
	return append(dst, '}')
}
